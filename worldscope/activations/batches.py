"""Batches of a store's rows: one uniform permutation, bounded memory, a cursor that can be saved.

A store that memory has room for is first read into the page cache in the order on disk.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldscope.activations.permutation import Permutation

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore

_HELD_BY_US = 3
"""References to a piece while it is looked at: the list, the loop and the question itself."""


@dataclass(frozen=True)
class RowBatch:
    """Some rows of a store."""

    rows: Int[np.ndarray, " n"]
    """Which rows of the store."""
    acts: dict[str, Float[Tensor, "n ..."]]
    """Activations by canonical hook name."""


class Batches:
    """One pass over the rows of a store; iterating again goes on from the cursor."""

    def __init__(
        self,
        store: "ActivationStore",
        batch_size: int,
        hooks: list[str],
        shuffle: bool,
        seed: int,
        drop_last: bool,
    ):
        """See `ActivationStore.batches`.

        Raises:
            ValueError: If the batch size is under 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        self.store, self.batch_size, self.hooks = store, batch_size, hooks
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.next_row = 0
        self._order = Permutation(len(store), seed) if shuffle else None

    def __len__(self) -> int:
        """Number of batches of a whole pass."""
        whole, rest = divmod(len(self.store), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[RowBatch]:
        last = len(self.store)
        if self.drop_last:
            last -= last % self.batch_size
        if self.shuffle:
            self.store.bring_in()
        memory = {name: Memory() for name in self.hooks}
        scratch = {name: self._room(name, Memory()) for name in self.hooks}
        while self.next_row < last:
            rows = self._rows(self.next_row, min(self.next_row + self.batch_size, last))
            acts = {
                name: self.store.gather(
                    name, rows, self._room(name, memory[name])[: len(rows)], scratch[name]
                )
                for name in self.hooks
            }
            self.next_row += len(rows)
            yield RowBatch(rows, acts)

    def take(self) -> RowBatch:
        """The next batch alone."""
        stop = min(self.next_row + self.batch_size, len(self.store))
        rows = self._rows(self.next_row, stop)
        self.next_row = stop
        return RowBatch(rows, {name: self.store.gather(name, rows) for name in self.hooks})

    @property
    def cursor(self) -> dict[str, Any]:
        """Where the pass is, after the last batch that was given: plain values."""
        return {"seed": self.seed, "shuffle": self.shuffle, "next_row": self.next_row}

    def go_on_from(self, cursor: dict[str, Any]) -> "Batches":
        """Sets the cursor, as it was saved.

        Raises:
            ValueError: If it is of another pass.
        """
        for name in ("seed", "shuffle"):
            if cursor[name] != getattr(self, name):
                raise ValueError(
                    f"the cursor is of a pass with {name} {cursor[name]}, not "
                    f"{getattr(self, name)}; give the same"
                )
        self.next_row = cursor["next_row"]
        return self

    def _rows(self, first: int, stop: int) -> np.ndarray:
        return np.arange(first, stop) if self._order is None else self._order(first, stop)

    def _room(self, name: str, memory: "Memory") -> Float[Tensor, "batch ..."]:
        """Room for a batch of a hook."""
        source = self.store.manifest.source
        shape = (self.batch_size, *source.hooks[name])
        return memory.empty(shape, getattr(torch, source.dtype))


class Memory:
    """Pieces of memory of one size, given again once nobody holds a tensor in them.

    The first use of fresh memory costs more than copying a batch into it.
    """

    def __init__(self) -> None:
        self.pieces: list[bytearray] = []

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor; the shape is the same in every call."""
        for piece in self.pieces:
            if sys.getrefcount(piece) <= _HELD_BY_US:
                return torch.frombuffer(piece, dtype=dtype).view(shape)
        piece = bytearray(int(np.prod(shape)) * dtype.itemsize)
        self.pieces.append(piece)
        return torch.frombuffer(piece, dtype=dtype).view(shape)

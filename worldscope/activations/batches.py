"""Batches of a store's rows: one uniform permutation, bounded memory, a cursor that can be saved.

Rows are taken from the memory map several batches at a time and in the order on disk, and handed
on in the order of the permutation.
"""

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

_TOGETHER = 128e6
"""Bytes of rows that are gathered at once."""


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
        while self.next_row < last:
            first, stop = self.next_row, min(self.next_row + self._gathered(), last)
            rows = self._rows(first, stop)
            acts = {name: self.store.gather(name, rows) for name in self.hooks}
            for start in range(0, len(rows), self.batch_size):
                part = slice(start, start + self.batch_size)
                self.next_row = first + min(part.stop, len(rows))
                yield RowBatch(rows[part], {name: taken[part] for name, taken in acts.items()})

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

    def _gathered(self) -> int:
        """Rows that are gathered at once: whole batches."""
        source = self.store.manifest.source
        numbers = sum(int(np.prod(source.hooks[name])) for name in self.hooks)
        row = numbers * getattr(torch, source.dtype).itemsize
        return max(1, int(_TOGETHER / max(row, 1) / self.batch_size)) * self.batch_size

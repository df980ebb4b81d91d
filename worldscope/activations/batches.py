"""Batches of a store's rows: shuffled in bounded memory, with a cursor that can be saved.

In one uniform permutation a store that memory has room for is first read into the page cache in the
order on disk. For a larger one there are pools; see `worldscope.activations.pools`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from worldscope.activations.memory import Memory
from worldscope.activations.permutation import Permutation
from worldscope.activations.pools import Pools

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore

_OF_A_PASS = ("seed", "shuffle", "pool_mb")
"""What decides the order of a pass."""


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
        *,
        shuffle: bool,
        seed: int,
        pool_mb: float | None,
        drop_last: bool,
    ):
        """See `ActivationStore.batches`.

        Raises:
            ValueError: If the batch size is under 1, or there are pools and no shuffling.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        if pool_mb is not None and not shuffle:
            raise ValueError("pool_mb is given, but rows in order have no pools; leave it out")
        self.store, self.batch_size, self.hooks = store, batch_size, hooks
        self.shuffle, self.seed, self.pool_mb = shuffle, seed, pool_mb
        self.stop = len(store) - (len(store) % batch_size if drop_last else 0)
        self.next_row = 0
        self._pools = None if pool_mb is None else Pools(store, pool_mb, seed)
        self._order = self._pools or (Permutation(len(store), seed) if shuffle else np.arange)

    def __len__(self) -> int:
        """Number of batches of a whole pass."""
        return -(-self.stop // self.batch_size)

    def __iter__(self) -> Iterator[RowBatch]:
        return self.share(0, 1)

    def share(self, number: int, count: int) -> Iterator[RowBatch]:
        """Every count-th batch from the cursor on, beginning with number `number`."""
        starts = range(self.next_row, self.stop, self.batch_size)[number::count]
        self._prepare()
        memory = {
            name: Memory((self.batch_size, *self.store.row_shape(name)), self.store.dtype)
            for name in self.hooks
        }
        for start in starts:
            self.next_row = min(start + self.batch_size, self.stop)
            rows = self._order(start, self.next_row)
            if self._pools is not None:
                ahead = self._pools.longest
                self._pools.advise(self.hooks, start + ahead, self.next_row + ahead)
            acts = {
                name: self.store.gather(name, rows, memory[name].tensor()[: len(rows)])
                for name in self.hooks
            }
            yield RowBatch(rows, acts)

    @property
    def cursor(self) -> dict[str, Any]:
        """Where the pass is, after the last batch that was given: plain values."""
        return {**{name: getattr(self, name) for name in _OF_A_PASS}, "next_row": self.next_row}

    def go_on_from(self, cursor: dict[str, Any]) -> "Batches":
        """Sets the cursor, as it was saved.

        Raises:
            ValueError: If it is of another pass.
        """
        for name in _OF_A_PASS:
            if cursor[name] != getattr(self, name):
                raise ValueError(
                    f"the cursor is of a pass with {name} {cursor[name]}, not "
                    f"{getattr(self, name)}; give the same"
                )
        self.next_row = cursor["next_row"]
        return self

    def _prepare(self) -> None:
        """Has the system read what comes first, in the order on disk."""
        if self._pools is not None:
            self._pools.advise(self.hooks, self.next_row, self.next_row + self._pools.longest)
        elif self.shuffle:
            self.store.bring_in()

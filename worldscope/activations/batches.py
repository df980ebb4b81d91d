"""Batches of a store's rows: shuffled in bounded memory, with a cursor that can be saved.

Each epoch has an order of its own, decided by the seed and its number.

In one uniform permutation a store that memory has room for is first read into the page cache in the
order on disk. For a larger one there are pools; see `worldscope.activations.pools`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from worldscope.activations.memory import Memory
from worldscope.activations.named import Named
from worldscope.activations.permutation import Permutation
from worldscope.activations.pools import Pools
from worldscope.activations.settings import check_whole

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore


@dataclass(frozen=True)
class RowBatch:
    """Some rows of a store."""

    rows: Int[np.ndarray, " n"]
    """Which rows of the store."""
    acts: Named[Float[Tensor, "n ..."]]
    """Activations by canonical hook name."""
    labels: Named[Shaped[np.ndarray, "n ..."]]
    """What is known of the rows, by column; see `ActivationStore.labels`."""


class Batches:
    """Passes over the rows of a store: iterating goes on from the cursor, or begins a new epoch."""

    def __init__(
        self,
        store: "ActivationStore",
        batch_size: int,
        hooks: list[str],
        *,
        labels: str | Sequence[str],
        shuffle: bool,
        seed: int,
        pool_mb: float | None,
        drop_last: bool,
    ):
        """See `ActivationStore.batches`.

        Raises:
            LookupError: If the store has no such column.
            ValueError: If a number is out of its range, or there are pools and no shuffling.
        """
        check_whole("batch_size", batch_size)
        check_whole("seed", seed)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        if seed < 0:
            raise ValueError(f"seed is {seed}; it must be 0 or more")
        if pool_mb is not None and not shuffle:
            raise ValueError("pool_mb is given, but rows in order have no pools; leave it out")
        self.store, self.batch_size, self.hooks = store, batch_size, hooks
        names = [labels] if isinstance(labels, str) else labels
        self.labels = {column: store.labels(column) for column in names}
        self.shuffle, self.seed, self.pool_mb = shuffle, seed, pool_mb
        self.stop = len(store) - (len(store) % batch_size if drop_last else 0)
        self.epoch, self.next_row = 0, 0
        self._order_epoch()

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        return -(-self.stop // self.batch_size)

    def __iter__(self) -> Iterator[RowBatch]:
        """The rest of the epoch; all of the next one where nothing is left."""
        return self.share(0, 1)

    def begin_epoch(self, epoch: int) -> None:
        """Sets the cursor to the beginning of an epoch; the first is 0."""
        self.epoch, self.next_row = epoch, 0
        self._order_epoch()

    def share(self, number: int, count: int) -> Iterator[RowBatch]:
        """What one of several processes reads of `iter`: every count-th batch, from `number` on.

        Processes that have read equally many batches of an epoch have the same cursor.
        """
        if self.next_row >= self.stop > 0:
            self.begin_epoch(self.epoch + 1)
        starts = range(self.next_row, self.stop, self.batch_size)
        self._prepare()
        memory = {
            name: Memory((self.batch_size, *self.store.row_shape(name)), self.store.dtype)
            for name in self.hooks
        }
        for place in range(number, len(starts), count):
            after = place - number + count
            self.next_row = starts[after] if after < len(starts) else self.stop
            yield self._batch(starts[place], memory)
        self.next_row = self.stop

    def _batch(self, start: int, memory: Mapping[str, Memory]) -> RowBatch:
        rows = self._order(start, min(start + self.batch_size, self.stop))
        if self._pools is not None:
            ahead = start + self._pools.longest
            self._pools.advise(self.hooks, ahead, ahead + len(rows))
        acts = {
            name: self.store.gather(name, rows, memory[name].tensor()[: len(rows)])
            for name in self.hooks
        }
        labels = {column: values[rows] for column, values in self.labels.items()}
        return RowBatch(rows, Named(acts), Named(labels))

    @property
    def cursor(self) -> dict[str, Any]:
        """Where reading is, after the last batch that was given: plain values."""
        return {**self._identity(), "epoch": self.epoch, "next_row": self.next_row}

    def go_on_from(self, cursor: Mapping[str, Any]) -> "Batches":
        """Sets the cursor, as it was saved.

        Raises:
            ValueError: If it is of another store, or of batches in another order or of other hooks.
        """
        own = self.cursor
        if cursor.keys() != own.keys():
            raise ValueError(f"{cursor!r:.80} is no cursor; give what `cursor` gave")
        for name in self._identity():
            if cursor[name] != own[name]:
                raise ValueError(
                    f"the cursor is of batches with {name} {cursor[name]}, not {own[name]}; "
                    "give the same"
                )
        if not (cursor["epoch"] >= 0 <= cursor["next_row"] <= self.stop):
            raise ValueError(
                f"the cursor is at row {cursor['next_row']} of epoch {cursor['epoch']}, and an "
                f"epoch has rows 0 to {self.stop}; give what `cursor` gave"
            )
        self.begin_epoch(cursor["epoch"])
        self.next_row = cursor["next_row"]
        return self

    def _identity(self) -> dict[str, Any]:
        """What is read, and what decides the order of every epoch."""
        return {
            "store": self.store.manifest.source.digest,
            "rows": len(self.store),
            "hooks": self.hooks,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "pool_mb": self.pool_mb,
        }

    def _order_epoch(self) -> None:
        seed = seed_of_epoch(self.seed, self.epoch)
        self._pools = None if self.pool_mb is None else Pools(self.store, self.pool_mb, seed)
        if self._pools is not None:
            self._order = self._pools
        else:
            self._order = Permutation(len(self.store), seed) if self.shuffle else np.arange

    def _prepare(self) -> None:
        """Has the system read what comes first, in the order on disk."""
        if self._pools is not None:
            self._pools.advise(self.hooks, self.next_row, self.next_row + self._pools.longest)
        elif self.shuffle:
            self.store.bring_in()


def seed_of_epoch(seed: int, epoch: int) -> int:
    """The seed of an epoch's order; that of the first is the seed itself."""
    if epoch == 0:
        return seed
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint32)[0])

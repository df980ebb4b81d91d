"""A store as a torch `IterableDataset`."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore


_MOST = 64
"""Workers of a loader, at most."""


class StoreDataset(IterableDataset):
    """Batches of a store for a torch `DataLoader(dataset, batch_size=None, num_workers=…)`.

    Each is a mapping from hook names to activations (batch, …), and from the names of labels to
    these. Workers take every n-th batch, so that together they give every row once. Each pass over
    a loader is an epoch, in an order of its own; `set_epoch` chooses which comes next.
    """

    def __init__(
        self,
        store: "ActivationStore",
        batch_size: int = 4096,
        *,
        hooks: str | Sequence[str] | None = None,
        labels: str | Sequence[str] = (),
        shuffle: bool = True,
        seed: int = 0,
        pool_mb: float | None = None,
        rank: int = 0,
        ranks: int = 1,
    ):
        """Args:
        store, batch_size, hooks, labels, shuffle, seed, pool_mb: See `ActivationStore.batches`.
        rank: Which of the processes that train together this is; each reads batches of its own.
        ranks: How many they are.

        Raises:
            LookupError, ValueError: As `ActivationStore.batches`, and if there is no such rank.
        """
        if not 0 <= rank < ranks:
            raise ValueError(f"rank is {rank} of {ranks}; ranks count from 0")
        self.rank, self.ranks = rank, ranks
        self._batches = partial(
            store.batches,
            batch_size,
            hooks=hooks,
            labels=labels,
            shuffle=shuffle,
            seed=seed,
            pool_mb=pool_mb,
        )
        self._batches()  # says here what is wrong
        # Workers are made anew for each pass, or are not; what they share with us stays.
        self._first = torch.tensor(0).share_memory_()
        self._passes = torch.zeros(_MOST + 1, _MOST, dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch of the next pass; the first is 0."""
        self._first.fill_(epoch)
        self._passes.zero_()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        if count > _MOST:
            raise ValueError(f"{count} workers read the store; it can have {_MOST} at most")
        batches = self._batches()
        begun = self._passes[count, number] + self._of_other_counts(count)
        batches.begin_epoch(int(self._first + begun))
        self._passes[count, number] += 1
        share = batches.share(self.rank * count + number, self.ranks * count)
        return ({**batch.acts, **batch.labels} for batch in share)

    def _of_other_counts(self, count: int) -> torch.Tensor:
        """Passes of other numbers of workers: they are over, and the first worker saw each.

        The row of this number is not read, as another worker may begin the same pass meanwhile.
        """
        return self._passes[:count, 0].sum() + self._passes[count + 1 :, 0].sum()

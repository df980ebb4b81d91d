"""A store as other libraries read data: a torch `IterableDataset`, a `datasets.Dataset`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

if TYPE_CHECKING:
    from datasets import Dataset

    from worldscope.activations.store import ActivationStore


class StoreDataset(IterableDataset):
    """Batches of a store for a torch `DataLoader(dataset, batch_size=None, num_workers=…)`.

    Each is a mapping from hook names to activations (batch, …). Workers take every n-th batch, so
    that together they give every row once.
    """

    def __init__(
        self,
        store: "ActivationStore",
        batch_size: int = 4096,
        *,
        hooks: list[str] | None = None,
        shuffle: bool = True,
        seed: int = 0,
        pool_mb: float | None = None,
    ):
        """See `ActivationStore.batches`."""
        self.store, self.batch_size, self.hooks = store, batch_size, hooks
        self.shuffle, self.seed, self.pool_mb = shuffle, seed, pool_mb

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        batches = self.store.batches(
            self.batch_size,
            hooks=self.hooks,
            shuffle=self.shuffle,
            seed=self.seed,
            pool_mb=self.pool_mb,
        )
        for batch in batches.share(number, count):
            yield batch.acts


def as_dataset(store: "ActivationStore", hooks: list[str]) -> "Dataset":
    """The rows of a store as a `datasets.Dataset`; activations are read when they are asked for."""
    import datasets
    import pyarrow as pa

    table = store.rows().append_column("row", pa.array(range(len(store)), pa.int64()))
    dataset = datasets.Dataset(table.combine_chunks())

    def with_acts(rows: dict[str, list]) -> dict[str, object]:
        if "row" not in rows:  # a filter that looks at other columns
            return dict(rows)
        places = np.array(rows["row"])
        return {**rows, **{name: store.gather(name, places) for name in hooks}}

    return dataset.with_transform(with_acts)

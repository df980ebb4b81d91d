"""A store as a `datasets.Dataset`."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

if TYPE_CHECKING:
    from datasets import Dataset

    from worldscope.activations.store import ActivationStore

_ARROW = {torch.float32: pa.float32(), torch.float16: pa.float16()}


def as_dataset(store: "ActivationStore", hooks: list[str]) -> "Dataset":
    """See `ActivationStore.to_datasets`."""
    import datasets

    table = store.rows().append_column("row", pa.array(range(len(store)), pa.int64()))
    if store.dtype not in _ARROW:
        dataset = datasets.Dataset(table.combine_chunks())
        return dataset.with_transform(partial(_with_acts, store, hooks))
    ends = accumulate((shard.n_rows for shard in store.manifest.shards), initial=0)
    shards = list(pairwise(ends))
    for name in hooks:
        parts = [_column(store.acts(name, start, stop)) for start, stop in shards]
        table = table.append_column(name, pa.chunked_array(parts))
    dataset = datasets.Dataset(table, fingerprint=_fingerprint(store, hooks))
    return dataset.with_format("torch", columns=hooks, output_all_columns=True)


def _fingerprint(store: "ActivationStore", hooks: list[str]) -> str:
    """Of what the dataset holds; the one that `datasets` makes would copy all activations."""
    from datasets.fingerprint import Hasher

    shards = [(shard.acts_checksum, shard.rows_checksum) for shard in store.manifest.shards]
    return Hasher.hash([hooks, shards, store.table.joined])


def _column(acts: Tensor) -> pa.Array:
    """Rows in place, as lists of one length."""
    numbers = pa.py_buffer(acts.numpy())
    column = pa.Array.from_buffers(_ARROW[acts.dtype], acts.numel(), [None, numbers])
    for length in reversed(acts.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, length)
    return column


def _with_acts(
    store: "ActivationStore", hooks: Sequence[str], rows: dict[str, list]
) -> dict[str, Any]:
    if "row" not in rows:  # a filter that looks at other columns
        return dict(rows)
    places = np.array(rows["row"])
    return {**rows, **{name: store.gather(name, places) for name in hooks}}

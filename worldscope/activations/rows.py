"""What is known of the rows of a store: a table over its shards, and columns joined to it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped

from worldscope.activations.manifest import Shard
from worldscope.activations.shards import read_rows, read_schema


class RowTable:
    """The tables of all shards as one, with further columns in memory."""

    def __init__(self, folder: Path, shards: Sequence[Shard], joined: pa.Table):
        """Nothing is read yet.

        Args:
            folder: Of the store.
            shards: What it holds.
            joined: Further columns; row i is of row i of the store.
        """
        self.folder, self.shards, self.joined = folder, shards, joined
        self._starts = np.cumsum([0, *(shard.n_rows for shard in shards)])

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        own = [name for shard in self.shards[:1] for name in read_schema(self.folder / shard.rows)]
        return [*own, *self.joined.column_names]

    def read(self, columns: Sequence[str] | None, start: int, stop: int) -> pa.Table:
        """Some columns, all if None, of a range of rows that there are.

        Raises:
            LookupError: If there is no such column.
        """
        known = self.columns
        names = known if columns is None else columns
        for column in names:
            if column not in known:
                raise LookupError(f"the store has no column {column!r}; it has {', '.join(known)}")
        own = [name for name in names if name not in self.joined.column_names]
        table = self._read_own(own, start, stop) if own else pa.table({})
        joined = self.joined.slice(start, stop - start)
        return pa.table({name: (table if name in own else joined).column(name) for name in names})

    def _read_own(self, columns: Sequence[str], start: int, stop: int) -> pa.Table:
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        last = min(max(last, first + 1), len(self.shards))
        first = min(first, last - 1)
        files = [self.folder / shard.rows for shard in self.shards[first:last]]
        table = read_rows(files, columns)
        return table.slice(start - int(self._starts[first]), stop - start)

    def with_columns(self, table: pa.Table) -> pa.Table:
        """All joined columns, once those of a table are joined too."""
        joined = [*zip(self.joined.column_names, self.joined.columns, strict=True)]
        joined += zip(table.column_names, table.columns, strict=True)
        return pa.table(dict(joined))


def as_array(column: str, values: pa.ChunkedArray) -> Shaped[np.ndarray, "rows ..."]:
    """A column as an array (rows,), or (rows, d) for vectors; nan or None where it is null.

    Raises:
        ValueError: If it holds vectors of different lengths.
    """
    if not pa.types.is_list(values.type):
        return values.to_numpy(zero_copy_only=False)
    known = values.drop_null().combine_chunks()
    lengths = np.diff(known.offsets.to_numpy())
    if len(set(lengths)) > 1:
        raise ValueError(f"{column!r} holds vectors of different lengths; see `rows`")
    stacked = np.full((len(values), lengths.max(initial=0)), np.nan)
    stacked[values.is_valid().to_numpy()] = known.flatten().to_numpy().reshape(len(known), -1)
    return stacked

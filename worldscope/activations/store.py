"""An activation store: rows of activations on disk, read without loading them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from worldscope.activations.manifest import Manifest, read_manifest
from worldscope.activations.rows import RowTable, as_array
from worldscope.activations.settings import torch_dtype
from worldscope.activations.shards import checksum
from worldscope.activations.stored import StoredActs

if TYPE_CHECKING:
    from datasets import Dataset

    from worldscope.activations.batches import Batches
    from worldscope.activations.inputs import Data
    from worldscope.networks.hooked import HookedNetwork


class ActivationStore:
    """Rows of activations at some hooks, with what is known of each row.

    Several may read a store at once, in any number of processes. Row i of every hook and of the
    table is of the same position.
    """

    def __init__(self, folder: Path, manifest: Manifest, joined: pa.Table | None = None):
        """See `load_store`, and for what is joined to the table of rows, `with_labels`."""
        self.folder, self.manifest = folder, manifest
        self.table = RowTable(folder, manifest.shards, pa.table({}) if joined is None else joined)
        self.stored = StoredActs(folder, manifest)

    @property
    def shard_starts(self) -> Int[np.ndarray, " starts"]:
        """Row with which each shard begins, and the number of rows."""
        return self.stored.starts

    def __len__(self) -> int:
        return int(self.shard_starts[-1])

    def __repr__(self) -> str:
        source = self.manifest.source
        hooks = ", ".join(f"{name} {shape}" for name, shape in source.hooks.items())
        state = "" if self.manifest.complete else ", not complete"
        return (
            f"ActivationStore({self.folder}, {len(self):,} rows of {hooks}, {source.dtype}{state})"
        )

    @property
    def hooks(self) -> list[str]:
        """Canonical names of the hooks."""
        return list(self.manifest.source.hooks)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the stored numbers."""
        return torch_dtype(self.manifest.source.dtype)

    def row_shape(self, hook: str) -> tuple[int, ...]:
        """Shape of a row of a hook, by its canonical name."""
        return tuple(self.manifest.source.hooks[hook])

    def row_bytes(self, hook: str) -> int:
        """Bytes of a row of a hook, by its canonical name."""
        return math.prod(self.row_shape(hook)) * self.dtype.itemsize

    @property
    def columns(self) -> list[str]:
        """Names of what is known of each row."""
        return self.table.columns

    def acts(
        self, hook: str | None = None, start: int = 0, stop: int | None = None
    ) -> Float[Tensor, "rows ..."]:
        """Activations of a range of rows, in the type of the store.

        Within one shard nothing is copied or read until it is used; a range over several is joined
        in memory. What is written to them does not reach the store.

        Args:
            hook: Its name, another that the network has for it, or the end of its name; may be left
                out where there is only one.
            start: First row.
            stop: One past the last; all if None.

        Raises:
            LookupError: If the store has no such hook.
            IndexError: If there are no such rows.
        """
        name = self.hook_name(hook)
        start, stop = self._range(start, stop)
        return self.stored.read(name, start, stop)

    def gather(
        self,
        hook: str | None,
        rows: Shaped[np.ndarray, " n"] | Sequence[int],
        out: Float[Tensor, "n ..."] | None = None,
    ) -> Float[Tensor, "n ..."]:
        """Activations of any rows, in the order asked for.

        Args:
            hook: As in `acts`.
            rows: Which rows, as whole numbers from 0 on.
            out: Where to write them; new memory if None.

        Raises:
            LookupError: If the store has no such hook.
            IndexError: If one is not the number of a row.
        """
        name = self.hook_name(hook)
        rows = np.asarray(rows)
        if len(rows) and rows.dtype.kind not in "iu":
            raise IndexError(
                f"rows are {rows.dtype}; give their numbers (np.flatnonzero of a mask)"
            )
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(
                f"rows {rows.min()} to {rows.max()} are not among the {len(self):,} of the store"
            )
        out = self.stored.new(name, len(rows)) if out is None else out
        return self.stored.gather(name, rows.astype(np.int64, copy=False), out)

    def advise(self, hook: str, shard: int, first: int, n: int) -> None:
        """Has the system begin to read `n` rows of a shard, from its row `first` on."""
        self.stored.advise(hook, shard, first, n)

    def bring_in(self) -> None:
        """Reads the shards into the page cache in the order on disk, if memory has room for them.

        Reading rows at random is then as fast as memory; it takes no memory of the process's own.
        """
        self.stored.bring_in()

    def rows(
        self, columns: str | Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> pa.Table:
        """What is known of a range of rows, as an Arrow table (`.to_pandas()` for pandas).

        Columns: group, sequence (index in the data), position (null for a mean), for texts symbol
        and its characters text_start to text_end (null for a symbol that the codec added), and the
        ground truth of the data under its own names.

        Args:
            columns: Which; all if None.
            start: First row.
            stop: One past the last; all if None.

        Raises:
            LookupError: If there is no such column.
        """
        start, stop = self._range(start, stop)
        return self.table.read([columns] if isinstance(columns, str) else columns, start, stop)

    def labels(self, column: str) -> Shaped[np.ndarray, "rows ..."]:
        """A column of `rows`, such as a state: a value for every row.

        Returns:
            An array (rows,), or (rows, d) for vectors; nan or None where a value is not known.

        Raises:
            LookupError: If there is no such column.
            ValueError: If it holds vectors of different lengths.
        """
        return as_array(column, self.rows([column]).column(column))

    def batches(
        self,
        batch_size: int = 4096,
        *,
        hooks: str | Sequence[str] | None = None,
        labels: str | Sequence[str] = (),
        shuffle: bool = True,
        seed: int = 0,
        pool_mb: float | None = None,
        drop_last: bool = False,
    ) -> "Batches":
        """Batches of rows, shuffled by the seed or in order, with a cursor that can be saved.

        Iterating again when all rows have been given begins another epoch, in another order.

        Args:
            batch_size: Rows of a batch.
            hooks: Which; all if None. The order of the rows does not depend on it.
            labels: Columns of `rows` that a batch is to hold too, as `labels` gives them; they are
                kept in memory.
            shuffle: Whether in another order than on disk.
            seed: Of the order.
            pool_mb: Where memory cannot hold the store, and rows at random would come slowly:
                shuffle within pools of so many megabytes, each drawn evenly from all parts of the
                store. The page cache has to have room for two. If None, one uniform permutation of
                all rows.
            drop_last: Leave out a last batch that is not full.

        Raises:
            LookupError: If the store has no such hook or column.
            ValueError: If a number is out of its range.
        """
        from worldscope.activations.batches import Batches

        names = None if hooks is None else [hooks] if isinstance(hooks, str) else list(hooks)
        chosen = self.hooks if names is None else [self.hook_name(name) for name in names]
        return Batches(
            self,
            batch_size,
            chosen,
            labels=labels,
            shuffle=shuffle,
            seed=seed,
            pool_mb=pool_mb,
            drop_last=drop_last,
        )

    def to_datasets(self, hooks: str | Sequence[str] | None = None) -> "Dataset":
        """A `datasets.Dataset` of the rows: the table, and a column for each hook.

        The activations stay in the store, and a row's are read when it is asked for: as torch
        tensors, or as another `with_format` asks. Arrow has no bfloat16: the columns of a bfloat16
        store are made by a transform, which another format leaves out and `save_to_disk` refuses.
        `.map(lambda rows: rows, batched=True, cache_file_name=…).with_format("torch")` has them in
        a file as float32, the same numbers, and from there in every format, and to be saved.
        """
        from worldscope.activations.table import as_dataset

        names = self.hooks if hooks is None else [hooks] if isinstance(hooks, str) else hooks
        return as_dataset(self, [self.hook_name(name) for name in names])

    def check(self, data: "Data", network: "HookedNetwork | None" = None) -> None:
        """Makes what is known of every row again from the data, and compares it.

        Without a network, what is compared are the inputs, groups and labels of whole inputs, and
        that the characters of a row lie in its text; with it also symbols, places in the text and
        labels of positions and spans, exactly.

        Args:
            data: What was collected from.
            network: What read it, for its codec; it is not run.

        Raises:
            ValueError: If the inputs or the codec are others, or a row is not what the data says:
                the first such row is named, with both.
        """
        from worldscope.activations.joining import check_rows

        check_rows(self, data, network)

    def join(self, world: "Data", network: "HookedNetwork | None" = None) -> pa.Table:
        """Ground truth that the store lacks, for each of its rows.

            store = store.with_labels(store.join(world))

        Args:
            world: The inputs that were collected from, with further states.
            network: What read them, for its codec; it is not run. Needed where a state is of
                positions or spans.

        Returns:
            A column for each state that the store has not; row i is of row i of the store.

        Raises:
            ValueError: As `check`; or if the world has no further state, or one that is called as
                something else of every row is.
        """
        from worldscope.activations.joining import join_labels

        return join_labels(self, world, network)

    def with_labels(self, table: pa.Table) -> "ActivationStore":
        """The store with further columns of its table of rows; nothing is written.

        Args:
            table: Its row i is of row i of the store.

        Raises:
            ValueError: If it has more or fewer rows, or a name that is taken.
        """
        if len(table) != len(self):
            raise ValueError(
                f"there are labels of {len(table):,} rows; the store has {len(self):,}"
            )
        for name in table.column_names:
            if name in (*self.columns, *self.hooks):
                raise ValueError(f"the store has {name!r} already; rename the column")
        return ActivationStore(self.folder, self.manifest, self.table.with_columns(table))

    def verify(self) -> list[str]:
        """What is damaged, a sentence each; nothing if the store is whole."""
        found = [] if self.manifest.complete else ["not every input has been read: collect again"]
        for shard in self.manifest.shards:
            for name, expected in (
                (shard.acts, shard.acts_checksum),
                (shard.rows, shard.rows_checksum),
            ):
                file = self.folder / name
                if not file.is_file():
                    found.append(f"{name} is missing: collect again")
                elif checksum(file) != expected:
                    found.append(
                        f"{name} has changed since it was written: delete it, and collect again"
                    )
        return found

    def hook_name(self, hook: str | None) -> str:
        """The canonical name of one of the store's hooks.

        Raises:
            LookupError: If the store has no such hook, or several and none is named.
        """
        names = self.hooks
        if hook is None:
            if len(names) > 1:
                raise LookupError(f"the store has several hooks; name one of {', '.join(names)}")
            return names[0]
        hook = self.manifest.notes.get("aliases", {}).get(hook, hook)
        if hook in names:
            return hook
        found = [name for name in names if name.endswith(f".{hook}")]
        if len(found) != 1:
            several = "several hooks" if found else "no hook"
            raise LookupError(f"the store has {several} {hook!r}; it has {', '.join(names)}")
        return found[0]

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"rows {start} to {stop} are not among the {len(self):,} of the store")
        return start, stop


def load_store(folder: str | Path) -> ActivationStore:
    """An activation store that `collect` wrote.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If its manifest is damaged.
    """
    return ActivationStore(Path(folder), read_manifest(Path(folder)))

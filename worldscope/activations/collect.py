"""Collecting activations to disk, so that it can be stopped at any moment and gone on with."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from tqdm.auto import tqdm

from worldscope.activations.inputs import Data, as_inputs
from worldscope.activations.manifest import (
    FILE,
    Manifest,
    Shard,
    Source,
    read_manifest,
    write_manifest,
)
from worldscope.activations.reader import Cursor, Reader, Work
from worldscope.activations.settings import ReadSettings, torch_dtype
from worldscope.activations.shards import write_acts, write_rows
from worldscope.activations.store import ActivationStore
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.language_model import LanguageModel
from worldscope.runs.files import plain
from worldscope.runs.lock import lock_folder


def collect(
    network: HookedNetwork,
    data: Data,
    hooks: str | Sequence[str],
    out: str | Path,
    *,
    dtype: str = "float32",
    shard_mb: float = 128.0,
    progress: bool = False,
    **settings: Any,
) -> ActivationStore:
    """Writes the activations of a network at some hooks, and what is known of every row, to disk.

    Goes on by itself where a collection of the same thing into `out` was stopped; the bytes are
    then those of an unbroken one (same machine type, versions and thread count).

    Args:
        network: What reads; in float32 or bfloat16, as it was loaded.
        data: A world, whose labels ride along, or a list of texts or of arrays (time, …).
        hooks: Hook names, or one.
        out: Folder of the store.
        dtype: Type of the stored numbers: float32, bfloat16 or float16.
        shard_mb: Megabytes of activations after which a file is closed.
        progress: Show a progress bar with positions a second and the time left.
        settings: Which positions become rows and how inputs are read; see `ReadSettings`.

    Raises:
        LookupError: If a hook or a column is unknown.
        ValueError: If `out` holds something else, or was collected from another network, data set,
            hook list or with other settings; if an input cannot be read, or its labels do not fit.
        FloatingPointError: If an activation is not finite.
        OSError: If the disk is full or cannot be written; shards that were written stay whole.
    """
    folder, reading = Path(out), ReadSettings(**settings)
    inputs = as_inputs(data, column=reading.column)
    reader = Reader(network, inputs, hooks, reading)
    with _saying_where(folder), _alone_in(folder):
        manifest = _begin(folder, reader, _described(reader, dtype, shard_mb))
        if not manifest.complete:
            manifest = _Collection(folder, reader, manifest).run(progress)
    return ActivationStore(folder, manifest)


def _described(reader: Reader, dtype: str, shard_mb: float) -> Manifest:
    """The manifest of a collection that has not begun."""
    if not shard_mb > 0:
        raise ValueError(f"shard_mb is {shard_mb}; it must be above 0")
    network, inputs = reader.network, reader.inputs
    shapes = reader.row_shapes()
    numbers = sum(int(np.prod(shape)) for shape in shapes.values())
    source = Source(
        network=network.digest,
        codec=network.codec.digest if isinstance(network, LanguageModel) else None,
        arithmetic=str(network.dtype).removeprefix("torch."),
        data=inputs.digest(),
        inputs=len(inputs),
        hooks={name: list(shape) for name, shape in shapes.items()},
        dtype=dtype,
        settings=plain(reader.settings),
        shard_rows=max(1, int(shard_mb * 1e6 / numbers / torch_dtype(dtype).itemsize)),
    )
    notes = {"data": inputs.name, "positions": reader.settings.positions}
    states = [asdict(state) for state in inputs.states]
    return Manifest(source, _environment(), notes, plain(states))


def _begin(folder: Path, reader: Reader, manifest: Manifest) -> Manifest:
    """The manifest to go on with: that of the folder, if there is one of the same collection."""
    if (folder / FILE).exists():
        found = read_manifest(folder)
        manifest.source.check_same(found.source, folder)
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
        return found
    if any(not file.name.startswith(".") for file in folder.iterdir()):
        raise ValueError(f"{folder} holds other files; choose a new folder for the store")
    if reader.network.dtype == torch.bfloat16:
        errors = reader.bf16_error()
        said = ", ".join(f"{name} {error:.2%}" for name, error in errors.items())
        tqdm.write(f"bfloat16 against float32, relative to its norm: {said}")
        manifest = replace(manifest, notes={**manifest.notes, "bf16_error": errors})
    write_manifest(folder, manifest)
    return manifest


class _Collection:
    """A collection under way: one shard is filled while the one before is written."""

    def __init__(self, folder: Path, reader: Reader, manifest: Manifest):
        self.folder, self.reader, self.manifest = folder, reader, manifest
        self.capacity = manifest.source.shard_rows
        self.writing: Future | None = None
        self.spare: list[dict[str, Tensor]] = []

    def run(self, progress: bool) -> Manifest:
        shards = self.manifest.shards
        start = Cursor(*shards[-1].after) if shards else Cursor()
        bar = tqdm(
            total=len(self.reader.inputs),
            desc="collecting",
            unit="input",
            disable=not progress,
        )
        with bar, ThreadPoolExecutor(1, thread_name_prefix="shards") as writer:
            try:
                self._fill(start, writer, bar)
            finally:
                self._wait()
        self.manifest = replace(self.manifest, complete=True)
        write_manifest(self.folder, self.manifest)
        return self.manifest

    def _fill(self, start: Cursor, writer: ThreadPoolExecutor, bar: tqdm) -> None:
        begun, read = time.monotonic(), 0
        acts, tables, filled, after = self._buffers(self.capacity), [], 0, start
        for work in self.reader.works(start):
            if filled + work.n_rows > self._room(acts):
                acts = self._grown(acts, filled, filled + work.n_rows)
            self.reader.read_into(
                work, {name: rows[filled : filled + work.n_rows] for name, rows in acts.items()}
            )
            filled, after = filled + work.n_rows, work.after
            tables.append(work)
            read += work.positions
            bar.update(work.inputs_done - bar.n)
            bar.set_postfix_str(f"{read / (time.monotonic() - begun):,.0f} positions/s")
            if filled >= self.capacity:
                self._hand_over(writer, acts, tables, filled, after)
                acts, tables, filled = self._buffers(self.capacity), [], 0
        if filled:
            self._hand_over(writer, acts, tables, filled, after)
        bar.update(bar.total - bar.n)
        if not self.manifest.shards and self.writing is None:
            raise ValueError("no position was chosen in any input, so that there are no rows")

    def _hand_over(
        self,
        writer: ThreadPoolExecutor,
        acts: dict[str, Tensor],
        works: list[Work],
        filled: int,
        after: Cursor,
    ) -> None:
        self._wait()
        self.writing = writer.submit(self._write, acts, works, filled, after)

    def _write(
        self, acts: dict[str, Tensor], works: list[Work], filled: int, after: Cursor
    ) -> None:
        number = len(self.manifest.shards)
        names = f"shard-{number:05d}.safetensors", f"rows-{number:05d}.parquet"
        full = {name: rows[:filled] for name, rows in acts.items()}
        acts_checksum = write_acts(self.folder / names[0], full)
        table = pa.concat_tables([work.table() for work in works]).combine_chunks()
        rows_checksum = write_rows(self.folder / names[1], table)
        shard = Shard(*names, filled, acts_checksum, rows_checksum, (after.window, after.unit))
        self.manifest = self.manifest.with_shard(shard)
        write_manifest(self.folder, self.manifest)
        self.spare.append(acts)

    def _wait(self) -> None:
        writing, self.writing = self.writing, None
        if writing is not None:
            writing.result()

    def _buffers(self, rows: int) -> dict[str, Tensor]:
        """Room for a shard and the unit that overfills it."""
        if self.spare:
            return self.spare.pop()
        source = self.manifest.source
        size = rows + self.reader.settings.batch_positions
        dtype = torch_dtype(source.dtype)
        return {
            name: torch.empty(size, *shape, dtype=dtype) for name, shape in source.hooks.items()
        }

    def _grown(self, acts: dict[str, Tensor], filled: int, needed: int) -> dict[str, Tensor]:
        grown = {name: rows.new_empty(needed, *rows.shape[1:]) for name, rows in acts.items()}
        for name, rows in acts.items():
            grown[name][:filled] = rows[:filled]
        return grown

    @staticmethod
    def _room(acts: dict[str, Tensor]) -> int:
        return len(next(iter(acts.values())))


def _environment() -> dict[str, str]:
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "threads": str(torch.get_num_threads()),
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Refuses a second collection in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(folder)
    if lock is None:
        raise ValueError(f"a collection is running in {folder}; wait for it, or choose another")
    with lock:
        yield


@contextmanager
def _saying_where(folder: Path) -> Iterator[None]:
    """Says of a disk's error what it means for the store."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            f"{folder} cannot be written ({os.strerror(error.errno)}); what is there is whole: "
            "make room or allow writing, and the same call goes on"
        ) from None

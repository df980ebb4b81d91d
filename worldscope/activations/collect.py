"""Collecting activations to disk, so that it can be stopped at any moment and gone on with."""

import mmap
import os
import platform
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from tqdm.auto import tqdm

from worldscope.activations.allocator import keeping_freed_memory
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
from worldscope.activations.settings import read_settings, torch_dtype
from worldscope.activations.shards import NewShard, is_whole, write_rows
from worldscope.activations.store import ActivationStore
from worldscope.networks.arithmetic import type_name
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.language_model import LanguageModel
from worldscope.runs.files import plain
from worldscope.runs.lock import alone_in

_HELD = 1 << 22
"""Positions after which a shard is closed, however few of them are rows: what is known of all of
them is held until then."""


def collect(
    network: HookedNetwork,
    data: Data,
    hooks: str | Sequence[str],
    out: str | Path,
    *,
    dtype: "str | torch.dtype" = "float32",
    shard_mb: float = 128.0,
    progress: bool = False,
    **settings: Any,
) -> ActivationStore:
    """Writes the activations of a network at some hooks, and what is known of every row, to disk.

    Goes on by itself where a collection of the same thing into `out` was stopped; the bytes are
    then those of an unbroken one (same machine type, versions and thread count). Where these are
    others than before, a warning says so and the manifest keeps them. Shards of which a file is
    missing or cut short are made again; a complete store is given as it is.

    Args:
        network: What reads; in float32 or bfloat16, as it was loaded.
        data: A world, whose labels ride along, or a list of texts or of arrays (time, …).
        hooks: Hook names, or one.
        out: Folder of the store.
        dtype: Type of the stored numbers: float32, bfloat16 or float16.
        shard_mb: Megabytes of activations after which a file is closed; two are held in memory.
        progress: Show a progress bar with positions a second and the time left.
        settings: Which positions become rows and how inputs are read; see `ReadSettings`.

    Raises:
        LookupError: If a hook or a column is unknown.
        ValueError: If `out` holds something else, or was collected from another network, data set,
            hook list or with other settings; if the network is being edited, is changed meanwhile,
            or runs under autocast; if an input cannot be read, or its labels do not fit.
        TypeError: If there is no such setting.
        FloatingPointError: If an activation is not finite.
        OSError: If the disk is full or cannot be written; shards that were written stay whole.
    """
    folder, reading = Path(out), read_settings(settings)
    if folder.is_file():
        raise ValueError(f"{folder} is a file; name a folder for the store")
    inputs = as_inputs(data, column=reading.column)
    reader = Reader(network, inputs, hooks, reading)
    _refuse_edits(network)
    _refuse_autocast(network.device)
    described = _described(reader, type_name(torch_dtype(dtype)), shard_mb)
    with _saying_where(folder), keeping_freed_memory():
        if (found := _found(folder, described)) and found.complete and not _damaged(folder, found):
            return ActivationStore(folder, found)
        with alone_in(folder, "a collection"):
            collection = _Collection(folder, reader, _begin(folder, reader, described))
            return ActivationStore(folder, collection.run(progress))


def _refuse_edits(network: HookedNetwork) -> None:
    """A store is of the network itself: what edits did could not be told from its manifest."""
    edited = [name for name, point in network.hook_dict.items() if point.edits]
    if edited:
        raise ValueError(
            f"the network is being edited at {', '.join(edited)}, which a store would not say of "
            "its rows: collect outside the `with` block, or use stream_activations"
        )


def _refuse_autocast(device: torch.device) -> None:
    """What type products are in is the network's to say, and the manifest's to keep."""
    if torch.is_autocast_enabled(device.type):
        raise ValueError(
            "torch.autocast is on, which a store would not say of its rows: collect outside of it, "
            "or load the network with dtype='bfloat16'"
        )


def _described(reader: Reader, dtype: str, shard_mb: float) -> Manifest:
    """The manifest of a collection that has not begun."""
    if not isinstance(shard_mb, int | float) or not shard_mb > 0:
        raise ValueError(f"shard_mb is {shard_mb!r}; it must be above 0")
    network, inputs = reader.network, reader.inputs
    shapes = reader.row_shapes()
    numbers = sum(int(np.prod(shape)) for shape in shapes.values())
    digests = inputs.digests()
    source = Source(
        network=network.digest,
        codec=network.codec.digest if isinstance(network, LanguageModel) else None,
        arithmetic=type_name(network.dtype),
        data=digests.data,
        inputs=len(inputs),
        hooks={name: list(shape) for name, shape in shapes.items()},
        dtype=dtype,
        settings=plain(reader.settings),
        shard_rows=max(1, int(shard_mb * 1e6 / numbers / torch_dtype(dtype).itemsize)),
        batches={"pads": network.pads, "context": network.context},
    )
    notes = {
        "network": network.name or type(network).__name__,
        "data": inputs.name,
        "inputs": digests.inputs,
        "positions": reader.settings.positions,
        "aliases": {alias: name for alias, name in network.aliases.items() if name in shapes},
    }
    states = [asdict(state) for state in inputs.states]
    return Manifest(source, _environment(network.device), notes, plain(states))


def _found(folder: Path, manifest: Manifest) -> Manifest | None:
    """The manifest of a folder that holds rows of the same collection, if it holds any."""
    if not (folder / FILE).exists() or not (found := read_manifest(folder)).shards:
        return None
    manifest.source.check_same(found.source, folder)
    if found.states != manifest.states:
        raise ValueError(
            f"{folder} was collected with other states of the data ({_names(found)}), not "
            f"{_names(manifest)}: the same names, kinds and levels, or a new folder"
        )
    return found


def _damaged(folder: Path, manifest: Manifest) -> list[int]:
    """Shards of which a file is missing or cut short."""
    return [
        number
        for number, shard in enumerate(manifest.shards)
        if not is_whole(folder / shard.acts, folder / shard.rows, shard.n_rows)
    ]


def _begin(folder: Path, reader: Reader, manifest: Manifest) -> Manifest:
    """The manifest to go on with: that of the folder, if rows of the same collection are there."""
    known = (folder / FILE).exists()
    if not known and any(not file.name.startswith(".") for file in folder.iterdir()):
        raise ValueError(f"{folder} holds other files; choose a new folder for the store")
    for leftover in folder.glob(".*.tmp") if known else ():
        leftover.unlink()
    if found := _found(folder, manifest):
        return _gone_on(folder, found, manifest.environment)
    if reader.network.dtype == torch.bfloat16:
        errors = reader.bf16_error()
        said = ", ".join(f"{name} {error:.2%}" for name, error in errors.items()) or "not known"
        tqdm.write(f"bfloat16 against float32, relative to its norm: {said}", file=sys.stderr)
        manifest = replace(manifest, notes={**manifest.notes, "bf16_error": errors})
    write_manifest(folder, manifest)
    return manifest


def _names(manifest: Manifest) -> str:
    states = [f"{s['name']}, {s['kind']} of each {s['level']}" for s in manifest.states]
    return "; ".join(states) or "none"


def _gone_on(folder: Path, found: Manifest, environment: dict[str, str]) -> Manifest:
    """The manifest that was found; it says from where on the environment is another."""
    manifest = found.gone_on_in(environment)
    if len(manifest.later) > len(found.later):
        then, now = found.last_environment, environment
        said = ", ".join(
            f"{name} {then.get(name)} then, {now[name]} now"
            for name in now
            if then.get(name) != now[name]
        )
        warnings.warn(
            f"{folder} goes on in another environment ({said}): its bytes may differ from those of "
            "an unbroken collection",
            stacklevel=3,
        )
    return manifest


class _Collection:
    """A collection under way: one shard is filled while the one before is finished."""

    def __init__(self, folder: Path, reader: Reader, manifest: Manifest):
        self.folder, self.reader, self.manifest = folder, reader, manifest
        self.finishing: Future | None = None
        self.spare: mmap.mmap | None = None
        self.weights = reader.network.weights_digest

    def run(self, progress: bool) -> Manifest:
        """Makes damaged shards again, then those that are to come."""
        damaged = _damaged(self.folder, self.manifest)
        with _Bar(len(self.reader.inputs), progress) as bar:
            for number in damaged:
                self._make_again(number, bar)
            if not self.manifest.complete:
                self._go_on(bar)
        return self.manifest

    def _make_again(self, number: int, bar: "_Bar") -> None:
        before = self.manifest.shards[number]
        works = next(self._shards(self._start_of(number)))
        if self._written(self._filled(number, works, bar), number, works) != before:
            (self.folder / before.acts).unlink()
            raise ValueError(
                f"{self.folder / before.acts} was damaged and cannot be made again with the same "
                "bytes: versions, machine or thread count are others than at first; collect into "
                "a new folder"
            )

    def _go_on(self, bar: "_Bar") -> None:
        begun = len(self.manifest.shards)
        with ThreadPoolExecutor(1, thread_name_prefix="shards") as finisher:
            try:
                for number, works in enumerate(self._shards(self._start_of(begun)), start=begun):
                    shard = self._filled(number, works, bar)
                    self._wait(shard)
                    self.finishing = finisher.submit(self._finish, number, shard, works)
            finally:
                self._wait()
            bar.reach(len(self.reader.inputs))
        if not self.manifest.shards:
            raise ValueError("no position was chosen in any input, so that there are no rows")
        self._check_network()
        self.manifest = replace(self.manifest, complete=True)
        write_manifest(self.folder, self.manifest)

    def _check_network(self) -> None:
        """Rows of weights that changed on the way are of no network; the folder is left without
        a manifest, so that nothing reads them."""
        if self.reader.network.weights_digest != self.weights:
            (self.folder / FILE).unlink()
            raise ValueError(
                f"the network was changed while {self.folder} was collected, so that its rows are "
                "of no one network: delete it, and collect into a new folder"
            )

    def _start_of(self, number: int) -> Cursor:
        return Cursor(*self.manifest.shards[number - 1].after) if number else Cursor()

    def _shards(self, start: Cursor) -> Iterator[list[Work]]:
        """Units that fill a shard each."""
        works: list[Work] = []
        rows = positions = 0
        for work in self.reader.works(start):
            works.append(work)
            rows, positions = rows + work.n_rows, positions + work.positions
            if rows >= self.manifest.source.shard_rows or positions >= _HELD:
                yield works
                works, rows, positions = [], 0, 0
        if works:
            yield works

    def _filled(self, number: int, works: list[Work], bar: "_Bar") -> NewShard:
        source = self.manifest.source
        rows = sum(work.n_rows for work in works)
        shapes = {name: (rows, *shape) for name, shape in source.hooks.items()}
        path = self.folder / f"shard-{number:05d}.safetensors"
        memory, self.spare = self.spare, None
        shard, filled = NewShard(path, shapes, torch_dtype(source.dtype), memory), 0
        try:
            for work in works:
                end = filled + work.n_rows
                self.reader.read_into(work, {n: acts[filled:end] for n, acts in shard.acts.items()})
                filled = end
                bar.reach(work.inputs_done, work.positions)
        except BaseException:
            shard.discard()
            raise
        return shard

    def _finish(self, number: int, shard: NewShard, works: list[Work]) -> None:
        self.manifest = self.manifest.with_shard(self._written(shard, number, works))
        write_manifest(self.folder, self.manifest)

    def _written(self, shard: NewShard, number: int, works: list[Work]) -> Shard:
        rows = f"rows-{number:05d}.parquet"
        table = pa.concat_tables([work.table() for work in works]).combine_chunks()
        try:
            sums = shard.finish(), write_rows(self.folder / rows, table)
        finally:
            shard.discard()
        self.spare = shard.memory
        after = works[-1].after
        return Shard(shard.path.name, rows, len(table), *sums, (after.window, after.unit))

    def _wait(self, filled: NewShard | None = None) -> None:
        """Until the shard before is finished; if it cannot be, the one that was filled is lost."""
        finishing, self.finishing = self.finishing, None
        if finishing is None:
            return
        try:
            finishing.result()
        except BaseException:
            if filled is not None:
                filled.discard()
            raise


class _Bar:
    """Inputs done, positions a second, and the time left."""

    def __init__(self, inputs: int, shown: bool):
        self.bar = tqdm(total=inputs, desc="collecting", unit="input", disable=not shown)
        self.begun, self.positions = time.monotonic(), 0

    def reach(self, inputs: int, positions: int = 0) -> None:
        self.positions += positions
        speed = self.positions / (time.monotonic() - self.begun)
        self.bar.set_postfix_str(f"{speed:,.0f} positions/s", refresh=False)
        self.bar.update(inputs - self.bar.n)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *raised: object) -> None:
        self.bar.close()


def _environment(device: torch.device) -> dict[str, str]:
    """What the bits depend on besides the source."""
    on_gpu = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "threads": str(torch.get_num_threads()),
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


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

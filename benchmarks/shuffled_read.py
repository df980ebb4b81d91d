"""Shuffled batches of a store beside a sequential read of the same bytes, cold and warm."""

import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import torch
from scipy.stats import chi2

from benchmarks.timing import Row, show
from worldscope.activations.manifest import Manifest, Shard, Source, write_manifest
from worldscope.activations.memory import anonymous_memory
from worldscope.activations.shards import NewShard, write_rows
from worldscope.activations.store import ActivationStore, load_store

WIDTH, BATCH, HOOK = 768, 4096, "blocks.0.hook_out"
LIMIT = 1 << 30
"""Memory that reading in pools may take: no more is given to the process."""
POOL_MB = 192.0


def rows(quick: bool) -> Iterator[Row]:
    """A store of 3 GiB, or of 12 MiB if quick."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    try:
        _write_store(folder, shards=2 if quick else 24, rows_each=4_000 if quick else 87_000)
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        for pool_mb in (4.0 if quick else POOL_MB, None):
            order = "one permutation" if pool_mb is None else f"pools of {pool_mb:.0f} MB"
            work = (
                f"a shuffled pass ({order}) over {size / 2**30:.2f} GiB, batches of "
                f"{BATCH:,} × {WIDTH} bf16"
            )
            equal = _equal(load_store(folder), pool_mb)
            row = Row(work, "MB/s", "sequential read", bar=0.5, equal=equal)
            for cache, prepare in (("cold", _forget), ("warm", _sequential)):
                of_cache = replace(row, work=f"{work}, page cache {cache}")
                yield _measured(of_cache, folder, size, pool_mb, prepare)
    finally:
        shutil.rmtree(folder)


def _measured(
    row: Row, folder: Path, size: int, pool_mb: float | None, prepare: Callable[[Path], None]
) -> Row:
    anonymous = [0]

    def ours(seed: int) -> None:
        for batch in load_store(folder).batches(BATCH, seed=seed, pool_mb=pool_mb):
            batch.acts[HOOK][0, 0].item()
        anonymous.append(anonymous_memory())

    times = []
    for repeat in range(3):
        prepare(folder)
        with _limited(None if pool_mb is None else LIMIT):
            of_ours = _timed(lambda seed=repeat: ours(seed))
        prepare(folder)
        times.append((of_ours, _timed(lambda: _sequential(folder))))
    ratios = [peer / of_ours for of_ours, peer in times]
    return replace(
        row,
        ours=size / 1e6 / median(of_ours for of_ours, _ in times),
        peer=size / 1e6 / median(peer for _, peer in times),
        ratio=median(ratios),
        repeats=len(times),
        spread=(min(ratios), max(ratios)),
        equal=f"{row.equal}; {max(anonymous) / 2**20:,.0f} MiB anonymous at most",
    )


@contextmanager
def _limited(n_bytes: int | None) -> Iterator[None]:
    """Gives the process no more than this of memory that no file stands behind."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if n_bytes is not None:
        reserved_only = _reserved() - anonymous_memory()
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes + reserved_only, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _reserved() -> int:
    """Bytes that `RLIMIT_DATA` counts now, used or not."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


def _timed(side: Callable[[], None]) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def _write_store(folder: Path, *, shards: int, rows_each: int) -> None:
    """A store of random rows, whose first number tells the row."""
    source = Source(
        network="", codec=None, arithmetic="float32", data="", inputs=shards,
        hooks={HOOK: [WIDTH]}, dtype="bfloat16", settings={}, shard_rows=rows_each,
    )  # fmt: skip
    manifest = Manifest(source, {}, {"data": "random"}, complete=True)
    table = pa.table({"sequence": pa.array(range(rows_each), pa.int64())})
    for number in range(shards):
        path = folder / f"shard-{number:05d}.safetensors"
        shard = NewShard(path, {HOOK: (rows_each, WIDTH)}, torch.bfloat16)
        first = number * rows_each + torch.arange(rows_each)
        shard.acts[HOOK].normal_()
        shard.acts[HOOK][:, 0] = first % 256
        shard.acts[HOOK][:, 1] = first // 256 % 256
        shard.acts[HOOK][:, 2] = first // 65536
        sums = shard.finish(), write_rows(folder / f"rows-{number:05d}.parquet", table)
        manifest = manifest.with_shard(
            Shard(path.name, f"rows-{number:05d}.parquet", rows_each, *sums, (0, number))
        )
    write_manifest(folder, manifest)


def _equal(store: ActivationStore, pool_mb: float | None) -> str:
    """Checks that one pass gives each row once, its own numbers, and cannot be told from chance."""
    order = []
    for batch in store.batches(BATCH, seed=11, pool_mb=pool_mb):
        told = batch.acts[HOOK][:, :3].double() @ torch.tensor([1.0, 256.0, 65536.0]).double()
        if not np.array_equal(told.long().numpy(), batch.rows):
            raise ArithmeticError("a batch holds other rows than it says")
        order.append(batch.rows)
    rows = np.concatenate(order)
    if not np.array_equal(np.sort(rows), np.arange(len(store))):
        raise ArithmeticError("a pass does not give every row once")
    cells = 8
    counts, _, _ = np.histogram2d(np.arange(len(rows)), rows, bins=cells)
    expected = len(rows) / cells**2
    chance = chi2.sf(((counts - expected) ** 2 / expected).sum(), (cells - 1) ** 2)
    if not chance > 1e-4:
        raise ArithmeticError(f"the order is not uniform: p = {chance:.2g}")
    return f"every row once, p = {chance:.2f} of a chi-square test of place against row"


def _sequential(folder: Path) -> None:
    buffer = bytearray(1 << 23)
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass


def _forget(folder: Path) -> None:
    """Drops the files from the page cache."""
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    show([rows])

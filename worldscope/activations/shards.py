"""Shards: rows of activations in safetensors files, read through the memory map.

A shard holds one tensor for each hook. What is known of its rows lies beside it, in Parquet.
"""

import json
import math
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import xxhash
from jaxtyping import Float
from torch import Tensor

from worldscope.activations.direct import page_aligned, write_direct
from worldscope.runs.files import replacing

_ALIGNED = 64
_TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_BLOCK = 1 << 22
_POPULATE_READ = 22
"""`MADV_POPULATE_READ` of Linux, which Python does not name."""


class NewShard:
    """A shard that is filled in memory, with room for it on the disk."""

    acts: dict[str, Float[Tensor, "rows ..."]]
    """What to write to, by hook."""
    memory: mmap.mmap
    """What they lie in; once it is finished, another shard may have it."""

    def __init__(
        self,
        path: Path,
        shapes: Mapping[str, Sequence[int]],
        dtype: torch.dtype,
        memory: mmap.mmap | None = None,
    ):
        """Makes room for it, under a temporary name.

        Args:
            path: Where it will be.
            shapes: Shape of each tensor.
            dtype: Their type.
            memory: That of a shard that is finished; used again if it is large enough.

        Raises:
            OSError: If the disk has no room.
        """
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        entries = _entries(shapes, dtype)
        header = _header(entries)
        self._size = len(header) + max(entry["data_offsets"][1] for entry in entries.values())
        try:
            with self._temporary.open("wb") as file:
                _reserve(file, self._size)
        except BaseException:
            self.discard()
            raise
        if memory is None or len(memory) < self._size:
            memory = page_aligned(self._size)
        self.memory = memory
        self.memory[: len(header)] = header
        places = {name: _place(len(header), entry, self._size) for name, entry in entries.items()}
        self.acts = {name: _tensor(self.memory, place) for name, place in places.items()}

    def finish(self) -> str:
        """Writes, syncs and renames it; the checksum of the file."""
        self.acts = {}
        with memoryview(self.memory) as view:
            total = xxhash.xxh3_64(view[: self._size])
        write_direct(self._temporary, self.memory, self._size)
        self._temporary.replace(self.path)
        return total.hexdigest()

    def discard(self) -> None:
        """Removes what has not been finished."""
        self._temporary.unlink(missing_ok=True)


def write_rows(path: Path, table: pa.Table) -> str:
    """Writes what is known of the rows; the checksum of the file."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
        return checksum(temporary)


def is_whole(acts: Path, rows: Path, n_rows: int) -> bool:
    """Whether both files of a shard are there and as long as they say; their checksums say more."""
    try:
        lengths = [place.shape[0] for place in read_places(acts).values()]
        return {*lengths, pq.read_metadata(rows).num_rows} == {n_rows}
    except (OSError, ValueError):
        return False


def checksum(path: Path) -> str:
    """xxh3-64 of a file, in hexadecimal."""
    total = xxhash.xxh3_64()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            total.update(block)
    return total.hexdigest()


class Place(NamedTuple):
    """Where a tensor lies in a shard."""

    offset: int
    """Of its first byte in the file."""
    shape: tuple[int, ...]
    dtype: torch.dtype


def read_places(path: Path) -> dict[str, Place]:
    """Where the tensors of a shard lie, by hook.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is truncated or not a shard.
    """
    try:
        with _opened(path) as file:
            length = int.from_bytes(file.read(8), "little")
            start, size = 8 + length, os.fstat(file.fileno()).st_size
            entries = json.loads(file.read(min(length, size)))
        entries.pop("__metadata__", None)
        return {name: _place(start, entry, size) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is truncated or not a shard ({error}); collecting again makes it anew"
        ) from None


def map_acts(path: Path, place: Place) -> Float[Tensor, "rows ..."]:
    """A tensor of a shard in place: what is written to it stays with the caller."""
    with _opened(path) as file:
        return _tensor(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), place)


def map_shard(path: Path) -> mmap.mmap:
    """A whole shard in place, to be read only."""
    with _opened(path) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def advise(mapped: mmap.mmap, place: Place, first: int, n: int) -> None:
    """Has the system begin to read `n` rows of a tensor of a shard, from row `first` on."""
    width = math.prod(place.shape[1:]) * place.dtype.itemsize
    start = place.offset + first * width
    page = start - start % mmap.PAGESIZE
    if hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_WILLNEED, page, start + n * width - page)


def read_ahead(mapped: mmap.mmap, path: Path) -> None:
    """Has all of a map in memory, read in the order on disk."""
    try:
        mapped.madvise(_POPULATE_READ)
    except (OSError, AttributeError):  # an older kernel, or another system
        with path.open("rb", buffering=0) as file:
            while file.read(_BLOCK):
                pass


def read_rows(paths: Sequence[Path], columns: Sequence[str] | None = None) -> pa.Table:
    """What is known of the rows of some shards.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is damaged.
    """
    chosen = None if columns is None else list(columns)
    # Without threads: one that still holds a file at the interpreter's exit would abort it.
    how = {"columns": chosen, "use_threads": False, "pre_buffer": False}
    tables = [_parquet(path, lambda file: pq.read_table(file, **how)) for path in paths]
    return pa.concat_tables(tables) if tables else pa.table({})


def read_schema(path: Path) -> list[str]:
    """Names of the columns of a table of rows.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is damaged.
    """
    return _parquet(path, pq.read_schema).names


def _parquet(path: Path, read: Callable[[Path], Any]) -> Any:
    _opened(path).close()
    try:
        return read(path)
    except (pa.ArrowInvalid, OSError) as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"{path} is not a whole Parquet file ({said}); collecting again makes it anew"
        ) from None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing; collecting again makes it anew") from None


def _place(start: int, entry: Mapping, size: int) -> Place:
    first, end = entry["data_offsets"]
    dtype, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
    if math.prod(shape) * dtype.itemsize != end - first:
        raise ValueError(f"{end - first} bytes cannot have the shape {shape}")
    if start + end > size:
        raise ValueError(f"it has {size:,} bytes of {start + end:,}")
    return Place(start + first, shape, dtype)


def _tensor(mapped: mmap.mmap, place: Place) -> Tensor:
    count = math.prod(place.shape)
    if count == 0:
        return torch.empty(place.shape, dtype=place.dtype)
    flat = torch.frombuffer(mapped, dtype=place.dtype, count=count, offset=place.offset)
    return flat.view(place.shape)


def _entries(shapes: Mapping[str, Sequence[int]], dtype: torch.dtype) -> dict[str, Any]:
    """What a safetensors header says of tensors that follow each other."""
    code = {dtype: code for code, dtype in _TYPES.items()}[dtype]
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * dtype.itemsize
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": [start, end]}
    return entries


def _header(entries: Mapping[str, Any]) -> bytes:
    """The beginning of a safetensors file, so long that what follows is aligned."""
    header = json.dumps(entries).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNED)
    return len(header).to_bytes(8, "little") + header


def _reserve(file: BinaryIO, size: int) -> None:
    """Makes a file so long; a full disk is told of now, not when the file is written."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)

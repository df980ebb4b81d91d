"""Writing past the page cache: the disk takes memory as it lies, with no copy in between."""

import errno
import mmap
import os
from pathlib import Path

_BLOCK = 8 << 20


def page_aligned(size: int) -> mmap.mmap:
    """Fresh memory of at least so many bytes, in whole blocks of `write_direct`."""
    memory = mmap.mmap(-1, -(-size // _BLOCK) * _BLOCK)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def write_direct(path: Path, memory: mmap.mmap, size: int) -> None:
    """Writes the first `size` bytes of page-aligned memory to a file that is there, and syncs it.

    Where the file system or the disk takes nothing directly, it goes through the page cache.
    """
    try:
        _write(path, memory, size, getattr(os, "O_DIRECT", 0))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _write(path, memory, size, 0)


def _write(path: Path, memory: mmap.mmap, size: int, flags: int) -> None:
    end = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    file = os.open(path, os.O_WRONLY | flags)
    try:
        with memoryview(memory) as view:
            written = 0
            while written < end:
                written += os.pwrite(file, view[written : min(written + _BLOCK, end)], written)
        os.ftruncate(file, size)
        os.fsync(file)
    finally:
        os.close(file)

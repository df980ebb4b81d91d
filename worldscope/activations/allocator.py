"""Memory that a pass frees, kept for the next one.

glibc returns large blocks to the system as soon as they are freed, and the system clears every page
of them again for the next batch, which slows a pass of a small network.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""`M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` of malloc.h."""
_LARGEST_MMAP_THRESHOLD = 32 << 20
"""`DEFAULT_MMAP_THRESHOLD_MAX`: what glibc raises its own threshold to at most."""
_NEVER = (1 << 31) - 1


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Inside the `with` block freed memory stays with the process; after it, it is given back.

    Where the C library is not glibc, nothing changes.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    library.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
        library.malloc_trim(0)

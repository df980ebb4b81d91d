"""Memory for batches, and how much of it there is."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_HELD_BY_US = 3
"""References to a piece while it is looked at: the list, the loop and the question itself."""


class Memory:
    """Pieces of memory of one size, given again once nobody holds a tensor in them.

    The first use of fresh memory costs more than copying a batch into it.
    """

    def __init__(self, shape: Sequence[int], dtype: torch.dtype):
        """Args:
        shape: Of every tensor.
        dtype: Its type.
        """
        self.shape, self.dtype = tuple(shape), dtype
        self.pieces: list[bytearray] = []

    def tensor(self) -> Tensor:
        """An uninitialised tensor."""
        for piece in self.pieces:
            if sys.getrefcount(piece) <= _HELD_BY_US:
                return self._within(piece)
        self.pieces.append(bytearray(int(np.prod(self.shape)) * self.dtype.itemsize))
        return self._within(self.pieces[-1])

    def _within(self, piece: bytearray) -> Tensor:
        return torch.frombuffer(piece, dtype=self.dtype).view(self.shape)


def available_memory() -> int:
    """Bytes that the system can give without swapping; none where it does not say."""
    return _told("/proc/meminfo", "MemAvailable")


def anonymous_memory() -> int:
    """Bytes of memory of this process that no file stands behind."""
    return _told("/proc/self/status", "RssAnon")


def resident_memory() -> int:
    """Bytes of memory of this process, mapped files included."""
    return _told("/proc/self/status", "VmRSS")


def _told(file: str, entry: str) -> int:
    """An entry in kB of a file of Linux's, in bytes; 0 where there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(entry)), 0)

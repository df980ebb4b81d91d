"""Rows of a hook in all shards of a store, gathered through their memory maps in one copy."""

import ctypes
import math
import mmap
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldscope.activations.shards import Place


class MappedRows:
    """Rows that lie in several maps, by their number.

    The maps lie in one address space, and so all rows are among those of one tensor that begins
    with the lowest of them and has a row, which overlaps the next, every few bytes.
    """

    def __init__(self, maps: Sequence[mmap.mmap], places: Sequence[Place]):
        """Nothing is read yet.

        Args:
            maps: Of every shard.
            places: Of the hook's tensor in each.
        """
        self.maps = maps
        self._starts = np.cumsum([0, *(place.shape[0] for place in places)])
        shape, dtype = places[0].shape[1:], places[0].dtype
        width = math.prod(shape) * dtype.itemsize
        address = np.array([_address(m) + p.offset for m, p in zip(maps, places, strict=True)])
        lowest, highest = int(address.min()), int((address + np.diff(self._starts) * width).max())
        self._unit = math.gcd(width, *(address - lowest).tolist())
        self._first, self._step = (address - lowest) // self._unit, width // self._unit
        memory = (ctypes.c_char * (highest - lowest)).from_address(lowest)
        self._all = torch.frombuffer(memory, dtype=dtype).as_strided(
            ((highest - lowest - width) // self._unit + 1, width // dtype.itemsize),
            (self._unit // dtype.itemsize, 1),
        )

    def gather(
        self, rows: Int[np.ndarray, " n"], out: Float[Tensor, "n ..."]
    ) -> Float[Tensor, "n ..."]:
        """Writes some rows, which must be of the store, to `out`, in the order asked for."""
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        places = self._first[shard] + (rows - self._starts[shard]) * self._step
        torch.index_select(self._all, 0, torch.from_numpy(places), out=out.view(len(rows), -1))
        return out


def _address(mapped: mmap.mmap) -> int:
    return np.frombuffer(mapped, np.uint8).ctypes.data

"""Rows of activations as every fit reads them: centred, in blocks, as often as it asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 8192
"""Rows of a block: what a pass makes of one stays in the processor's caches."""


@runtime_checkable
class Rows(Protocol):
    """Rows whose units have mean 0."""

    @property
    def count(self) -> int:
        """Number of rows."""
        ...

    def blocks(self) -> Iterator[Float[Tensor, "block d"]]:
        """All rows, in the same order each time."""
        ...


@dataclass(frozen=True)
class RowsInMemory:
    """Rows that memory holds."""

    values: Float[Tensor, "n d"]

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.values)

    def blocks(self) -> Iterator[Float[Tensor, "block d"]]:
        """Views of the rows."""
        return iter(self.values.split(BLOCK))


def centre(acts: Float[Tensor, "n d"]) -> tuple[RowsInMemory, Float[Tensor, " d"]]:
    """Rows in float64 if they are so, else in float32, and the means that were taken off."""
    dtype = torch.promote_types(acts.dtype, torch.float32)
    mean = torch.stack([part.sum(0, dtype=torch.float64) for part in acts.split(BLOCK)]).sum(0)
    mean /= len(acts)
    return RowsInMemory(acts.to(dtype) - mean.to(dtype)), mean


def covariance(rows: Rows) -> Float[Tensor, "d d"]:
    """Of centred rows, over their number, in float64."""
    total = torch.zeros((), dtype=torch.float64)
    for block in rows.blocks():
        total = total + (block.T @ block).double()
    return total / rows.count


def sample_rows(rows: Rows, count: int, seed: int = 0) -> Float[Tensor, "some d"]:
    """A random choice of rows, all of them if there are no more, in one pass."""
    drawn = torch.randperm(rows.count, generator=torch.Generator().manual_seed(seed))[:count]
    chosen = torch.zeros(rows.count, dtype=torch.bool)
    chosen[drawn] = True
    start, found = 0, []
    for block in rows.blocks():
        found.append(block[chosen[start : start + len(block)]])
        start += len(block)
    return torch.cat(found)

"""Units ranked block by block: in the cache and on every core, or as a caller streams them.

To rank a unit takes all of its rows and nothing of other units. So a table of any size is ranked
in blocks of units, and the blocks' rankings are joined.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from probes.inputs import check_acts
from worldscope.networks.threads import run_shares, share_rows

_CELLS = 1 << 18  # of a block of units: what is made of one stays in a processor's cache
_GATHERED = 1 << 22  # cells that are read at a time: one unit's rows lie far apart in memory
_TILE = 256  # rows that are transposed at a time


@dataclass(frozen=True, eq=False)
class Ranking:
    """Arrays with an entry for each unit."""


AnyRanking = TypeVar("AnyRanking", bound=Ranking)


def rank_in_blocks(
    blocks: Iterable[tuple[slice, Float[np.ndarray, "n some"]]],
    rank: Callable[[Float[np.ndarray, "n some"]], AnyRanking],
) -> AnyRanking:
    """The ranking of units whose activations together are larger than memory.

    No block is kept when the next one is asked for:

        rank_in_blocks(blocks, lambda acts: rank_units(acts, labels))

    Args:
        blocks: Units, and their activations at every row; from unit 0 on, in order.
        rank: `rank_units`, `rank_units_by_spearman` or `rank_units_by_class`, given its labels.

    Raises:
        ValueError: If there is no block, or one does not begin where the last ended or is not as
            wide as its slice; and as `rank`.
    """
    rankings, end = [], 0
    for units, acts in blocks:
        if (units.start, units.stop) != (end, end + acts.shape[1]) or units.step not in (None, 1):
            raise ValueError(
                f"A block of {acts.shape[1]} units comes as {units} where unit {end} is next: "
                f"it must be slice({end}, {end + acts.shape[1]})."
            )
        try:
            rankings.append(rank(acts))
        except ValueError as error:
            raise ValueError(f"In the block that begins with unit {end}: {error}") from None
        end = units.stop
        del acts
    if not rankings:
        raise ValueError("There are no blocks of units: give at least one.")
    names = [field.name for field in fields(rankings[0])]
    joined = [np.concatenate([getattr(part, name) for part in rankings]) for name in names]
    return type(rankings[0])(*joined)


def measure_units(
    acts: Float[np.ndarray, "n d"],
    measure: Callable[[Float[np.ndarray, "some n"]], tuple[np.ndarray, ...]],
) -> tuple[np.ndarray, ...]:
    """What `measure` finds for every unit, from blocks that have a unit in each row.

    Raises:
        ValueError: If there is nothing, or an activation is not finite; names the row and unit.
    """
    if acts.ndim != 2 or acts.size == 0:
        check_acts(acts)

    def measured(units: slice) -> list[tuple[np.ndarray, ...]]:
        return [measure(block) for block in _blocks(acts, units)]

    shares = run_shares(measured, share_rows(acts.shape[1]))
    found = [block for share in shares for block in share]
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _blocks(acts: Float[np.ndarray, "n d"], units: slice) -> Iterator[Float[np.ndarray, "some n"]]:
    """The units in blocks of single or double precision, once they are known to be finite."""
    dtype = np.float64 if acts.dtype == np.float64 else np.float32
    width, height = max(1, _GATHERED // len(acts)), max(1, _CELLS // len(acts))
    for first in range(units.start, units.stop, width):
        gathered = _transposed(acts[:, first : min(first + width, units.stop)], dtype)
        for start in range(0, len(gathered), height):
            block = gathered[start : start + height]
            if not np.isfinite(block).all():
                check_acts(acts)
            yield block


def _transposed(acts: Float[np.ndarray, "n some"], dtype: type[np.floating]) -> np.ndarray:
    """By tiles: the rows of a wide table fall on the same few lines of the cache."""
    rows, units = acts.shape
    gathered = np.empty((units, rows), dtype=dtype)
    for start in range(0, rows, _TILE):
        gathered[:, start : start + _TILE] = acts[start : start + _TILE].copy().T
    return gathered

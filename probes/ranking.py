"""Every unit ranked by how well it alone tells two classes apart.

All units are sorted at once as whole numbers that carry the label in their lowest bit:

    key = 2 * place of the activation in the order of floats + label

After one sort the labels of a unit lie in the order of its activations. A walk over them, up for
a 1 and down for a 0, gives both answers: its lowest and highest points are the best cuts, and
its mean height the area under the ROC curve.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, Integer

from probes.unit_blocks import Ranking, measure_units
from worldscope.measures import check_labels

RankBy = Literal["accuracy", "auroc"]


@dataclass(frozen=True, eq=False)
class UnitRanking(Ranking):
    """How well each unit alone tells label 1 from label 0, on the rows that it was ranked on."""

    auroc: Float[np.ndarray, " d"]
    """Area under the ROC curve of the raw activation: under 0.5 where larger means label 0."""
    accuracy: Float[np.ndarray, " d"]
    """Share of rows on the right side of the unit's best threshold, in its better direction."""
    threshold: Float[np.ndarray, " d"]
    """Midway between two neighbouring activations, the lowest of equally good cuts; infinite
    where no cut beats giving every row the same label."""
    sign: Int[np.ndarray, " d"]
    """+1 where activations above the threshold mean label 1, -1 where they mean label 0; by the
    AUROC where the threshold is infinite."""

    def order(self, by: RankBy = "accuracy") -> Int[np.ndarray, " d"]:
        """Units from best to worst.

        By "auroc" a unit is as good as its distance from 0.5. Ties go by the other measure, then
        to the lower unit.

        Raises:
            LookupError: If there is no such measure.
        """
        if by not in ("accuracy", "auroc"):
            raise LookupError(f"units are not ranked by {by!r}; choose accuracy or auroc")
        distance = np.abs(self.auroc - 0.5)
        first, second = {"accuracy": (self.accuracy, distance), "auroc": (distance, self.accuracy)}[
            by
        ]
        return np.lexsort((-second, -first))

    def best(self, by: RankBy = "accuracy") -> int:
        """The unit that ranks first."""
        return int(self.order(by)[0])

    def predict(self, acts_column: Float[np.ndarray, " n"], unit: int) -> Int[np.ndarray, " n"]:
        """The label of each row by the unit's threshold and sign, from its activations alone.

        Raises:
            LookupError: If there is no such unit.
        """
        if not 0 <= unit < len(self.sign):
            raise LookupError(f"there is no unit {unit}: they are 0 to {len(self.sign) - 1}")
        above = acts_column > self.threshold[unit]
        return np.where(above, self.sign[unit] > 0, self.sign[unit] < 0).astype(np.int64)

    def table(self, k: int = 10, by: RankBy = "accuracy") -> pd.DataFrame:
        """The k best units, a row each: unit, accuracy, auroc, threshold, sign."""
        units = self.order(by)[:k]
        columns = {name: getattr(self, name)[units] for name in _COLUMNS}
        return pd.DataFrame({"unit": units, **columns})


_COLUMNS = ("accuracy", "auroc", "threshold", "sign")


def rank_units(acts: Float[np.ndarray, "n d"], labels: Integer[np.ndarray, " n"]) -> UnitRanking:
    """Best threshold and area under the ROC curve of every unit, ties handled exactly.

    Args:
        acts: Activation of each unit at each row, finite.
        labels: 0 or 1, both present.

    Raises:
        ValueError: If an activation is not finite, or labels do not fit; names the row and unit.
    """
    check_labels(labels, rows=len(acts))
    return UnitRanking(*measure_units(acts, lambda block: _rank_block(block, labels)))


def _rank_block(
    values: Float[np.ndarray, "units n"], labels: Integer[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(auroc, accuracy, threshold, sign) of each row of `values`, one unit each."""
    places, activation_at = _places(values)
    keys = 2 * places
    keys |= labels.astype(keys.dtype)
    keys.sort(axis=1)
    ones = keys & 1
    places = keys >> 1
    can_cut = places[:, 1:] != places[:, :-1]
    # numpy takes several times as long for a running sum along rows.
    walk = torch.from_numpy(2 * ones - 1).cumsum(1, dtype=torch.int32).numpy()

    accuracy, cut, sign = _best_cut(walk, can_cut)
    auroc = _auroc(walk, ones, can_cut)
    by_auroc = np.where(auroc < 0.5, -1, 1)
    threshold = np.where(by_auroc == sign, -np.inf, np.inf)  # gives every row the commoner label
    sign = np.where(cut < 0, by_auroc, sign)
    inner = np.flatnonzero(cut >= 0)
    threshold[inner] = _between(
        activation_at(places[inner, cut[inner]]), activation_at(places[inner, cut[inner] + 1])
    )
    return auroc, accuracy, threshold, sign


def _places(
    values: Float[np.ndarray, "units n"],
) -> tuple[Int[np.ndarray, "units n"], Callable[[np.ndarray], np.ndarray]]:
    """Whole numbers in the order of the values with a bit to spare, and the way back.

    The bits of a float without its sign are a whole number that grows with it. Counted from the
    smallest of the block, they leave a bit free unless the largest is over 2^127 (in double
    precision 2^1023) times the smallest; values so far apart are numbered one by one.
    """
    integer, unsigned = (np.dtype(f"{kind}{values.itemsize}") for kind in "iu")
    bits = np.abs(values).view(integer)
    largest = np.iinfo(integer).max
    below_smallest = min(int((bits - 1).view(unsigned).min()), largest)  # 0 - 1 wraps: not counted
    if bits.max() - below_smallest >= largest // 2:
        levels, numbers = np.unique(values, return_inverse=True)
        return numbers.reshape(values.shape), levels.__getitem__

    def activation_at(places: np.ndarray) -> np.ndarray:
        size = np.where(places == 0, 0, np.abs(places) + below_smallest).astype(integer)
        return np.copysign(size.view(values.dtype), places)

    size = np.maximum(bits - below_smallest, 0)
    minus = values.view(integer) >> (8 * values.itemsize - 1)  # -1 for a negative value, else 0
    return (size ^ minus) - minus, activation_at


def _best_cut(
    walk: Int[np.ndarray, "units n"], can_cut: Bool[np.ndarray, "units cuts"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(accuracy, cut, sign) of each unit: the cut comes after that place in its order, -1 for none.

    A cut where the walk stands at h puts ones - h rows on the right side if larger means 1, and
    zeros + h if larger means 0. Without a cut h is 0, which is what the places that cannot be
    cut are given.
    """
    rows = walk.shape[1]
    height = np.where(can_cut, walk[:, :-1], 0)
    lowest, highest = height.argmin(axis=1), height.argmax(axis=1)
    unit = np.arange(len(height))
    ones = (rows + walk[:, -1]) // 2
    right_if_up = ones - np.minimum(height[unit, lowest], 0)
    right_if_down = rows - ones + np.maximum(height[unit, highest], 0)
    up = right_if_up >= right_if_down
    accuracy = np.maximum(right_if_up, right_if_down) / rows
    cut_if_up = np.where(height[unit, lowest] < 0, lowest, -1)
    cut_if_down = np.where(height[unit, highest] > 0, highest, -1)
    return accuracy, np.where(up, cut_if_up, cut_if_down), np.where(up, 1, -1)


def _between(lower: np.ndarray, upper: np.ndarray) -> Float[np.ndarray, " units"]:
    """Midway, but never so rounded that `upper` is not above it."""
    lower, upper = lower.astype(np.float64), upper.astype(np.float64)
    middle = lower / 2 + upper / 2
    return np.where((lower <= middle) & (middle < upper), middle, lower)


def _auroc(
    walk: Int[np.ndarray, "units n"],
    ones: Int[np.ndarray, "units n"],
    can_cut: Bool[np.ndarray, "units cuts"],
) -> Float[np.ndarray, " units"]:
    """Mann-Whitney wins over pairs, counted in whole numbers.

    Within a tie zeros come first, so that every tied pair counts as won and half is taken off.
    """
    rows = walk.shape[1]
    number_of_ones = (rows + walk[:, -1].astype(np.int64)) // 2
    number_of_zeros = rows - number_of_ones
    # The walk's sum is Σ (rows - place) * step, which gives the places of the ones.
    places_of_ones = (
        rows * (number_of_ones - number_of_zeros)
        - walk.sum(axis=1, dtype=np.int64)
        + rows * (rows - 1) // 2
    ) // 2
    wins_twice = 2 * places_of_ones - number_of_ones * (number_of_ones - 1)
    if not can_cut.all():
        wins_twice = wins_twice - _tied_pairs(ones, can_cut)
    return wins_twice / (2 * number_of_ones * number_of_zeros)


def _tied_pairs(
    ones: Int[np.ndarray, "units n"], can_cut: Bool[np.ndarray, "units cuts"]
) -> Float[np.ndarray, " units"]:
    """How many pairs of a one and a zero have the same activation, for each unit."""
    units, rows = ones.shape
    outside = np.ones((units, 1), dtype=bool)
    starts_tie = np.hstack([outside, can_cut])
    ends_tie = np.hstack([can_cut, outside])
    shared = np.flatnonzero(~(starts_tie & ends_tie))  # places whose activation is not unique
    starts = np.flatnonzero(starts_tie.ravel()[shared])
    size = np.diff(starts, append=len(shared))
    ones_in_tie = np.add.reduceat(ones.ravel()[shared], starts, dtype=np.int64)
    pairs = ones_in_tie * (size - ones_in_tie)
    return np.bincount(shared[starts] // rows, weights=pairs, minlength=units)

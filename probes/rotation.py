"""Is the basis of the units special? The best single unit against that of random rotations.

If a network keeps something in single units, then no direction of a randomly rotated basis reads
it as well as the best unit does. If it only keeps it in some direction, then the units are one
basis among many, and the best unit is no better than the best axis of the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Real

from probes.inputs import check_acts
from worldscope.measures import permutation_p_value

_CELLS = 1 << 23  # of activations that are rotated at once

ScoreUnits = Callable[[Float[np.ndarray, "n units"]], Real[np.ndarray, " units"]]
"""From activations to a score of each unit by itself, higher being better."""


@dataclass(frozen=True, eq=False)
class RotationTest:
    """The best unit, and the best axis of each of many random bases."""

    best_unit: float
    """Score of the best unit in the basis that the network has."""
    best_axes: Float64[np.ndarray, " rotations"]
    """Score of the best axis under each rotation."""

    @property
    def share_as_good(self) -> float:
        """Share of the rotations whose best axis is at least as good as the best unit."""
        return float(np.mean(self.best_axes >= self.best_unit))

    @property
    def p_value(self) -> float:
        """Chance of so good a unit if the basis were one of the random ones; never 0."""
        return permutation_p_value(self.best_unit, self.best_axes)


def rotate_units(
    acts: Float[np.ndarray, "n d"],
    score_units: ScoreUnits,
    *,
    rotations: int = 20,
    seed: int,
) -> RotationTest:
    """Score of the best single unit, as the basis is and under random rotations.

    A rotation mixes units by their size: where a few vary far more than the rest, every random
    axis is made of these. Standardise first, on the training part, to have units count alike.

    Some axes are rotated and scored at a time, so that memory beyond the activations is that of
    one (d, d) matrix and 32 to 64 MB.

    Args:
        acts: Activations, finite; rotated in their own precision.
        score_units: Called with all rows and some units or axes; a score for each, higher being
            better, that rests on that one alone. It knows the labels, and may choose on some rows
            and score on others.
        rotations: Number of random bases.
        seed: Rotation i is the same whatever their number.

    Raises:
        ValueError: If an activation is not finite, there is no rotation, or the scores do not fit.
    """
    check_acts(acts)
    if rotations < 1:
        raise ValueError(f"The number of rotations is {rotations}: it must be 1 or more.")
    rows, units = acts.shape
    width = max(1, _CELLS // rows)
    blocks = [slice(start, start + width) for start in range(0, units, width)]
    best_unit = max(_best(score_units, acts[:, block]) for block in blocks)
    best_axes = np.empty(rotations)
    for rotation in range(rotations):
        axes = _rotation(units, np.random.default_rng((seed, rotation))).astype(acts.dtype)
        best_axes[rotation] = max(_best(score_units, acts @ axes[:, block]) for block in blocks)
    return RotationTest(best_unit, best_axes)


def random_rotation(units: int, *, seed: int) -> Float64[np.ndarray, "d d"]:
    """An orthogonal matrix, all being equally likely (Haar measure); its columns are the axes.

    Raises:
        ValueError: If there is no unit.

    Source: Mezzadri 2007, section 5: the signs make the distribution uniform.
    """
    if units < 1:
        raise ValueError(f"The number of units is {units}: it must be 1 or more.")
    return _rotation(units, np.random.default_rng(seed))


def _rotation(units: int, random: np.random.Generator) -> Float64[np.ndarray, "d d"]:
    axes, triangle = np.linalg.qr(random.standard_normal((units, units)))
    return axes * np.sign(np.diag(triangle))


def _best(score_units: ScoreUnits, acts: Float[np.ndarray, "n units"]) -> float:
    scores = score_units(acts)
    if scores.shape != acts.shape[1:] or not np.isfinite(scores).all():
        raise ValueError(
            f"The scores of {acts.shape[1]} units have shape {scores.shape} and are "
            f"{'' if np.isfinite(scores).all() else 'not all '}finite: "
            "`score_units` must give one finite score for each unit."
        )
    return float(scores.max())

"""Smooth convex functions, many at once, minimised by L-BFGS.

The functions share every evaluation, so that one pass over the rows of a store serves all fits that
are not finished. Each has steps and a memory of its own.

Source: Liu and Nocedal 1989, with a diagonal preconditioner in the place of the scaled identity.
Steps are checked by slopes alone, which costs no evaluation of the functions: along a line a convex
function only falls while its slope is below 0, and where it rises again the secant of the slopes
shows how much further back its minimum lies.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_MEMORY = 10
_STEEPEST_RISE = 0.5  # of the first slope, at the end of a step
_MAX_TRIALS = 20  # of one step

Gradient = Callable[[Float[Tensor, "d some"], Int[Tensor, " some"]], Float[Tensor, "d some"]]
"""From points, and the numbers of the functions that they belong to."""


@dataclass(frozen=True)
class Minimum:
    """Where the functions are least."""

    points: Float[Tensor, "d q"]
    excess: Float[Tensor, " q"]
    """About how far each function is above its minimum: half of g' g / curvature."""
    finished: Bool[Tensor, " q"]
    """Whether that is within the tolerance."""
    evaluations: int
    """How many gradients were asked for, of whatever number of functions."""


def minimise_many(
    gradient: Gradient,
    curvature: Gradient,
    start: Float[Tensor, "d q"],
    *,
    tolerance: float,
    max_steps: int,
) -> Minimum:
    """The minimum of each of q convex functions.

    Args:
        gradient: Of the functions.
        curvature: The diagonal of their Hessians, or near to it; above 0.
        start: Where to begin.
        tolerance: How far above its minimum a function may stay.
        max_steps: After so many steps what is not finished is left as it is.
    """
    points, active = start.clone(), torch.arange(start.shape[1])
    excess = torch.full((start.shape[1],), torch.inf, dtype=start.dtype)
    counted = _Counted(gradient)
    slopes, memory = counted(points, active), _Memory()
    for step in range(max_steps + 1):
        curved = curvature(points[:, active], active)
        excess[active] = (slopes.square() / curved).sum(0) / 2
        going_on = excess[active] > tolerance
        active, slopes, curved = active[going_on], slopes[:, going_on], curved[:, going_on]
        if step == max_steps or len(active) == 0:
            break
        memory.keep(going_on)
        direction = memory.direction(slopes, curved)
        change, after = _step(counted, points[:, active], direction, slopes, active)
        memory.add(change, after - slopes)
        points[:, active] += change
        slopes = after
    return Minimum(points, excess, excess <= tolerance, counted.evaluations)


class _Counted:
    """A gradient that counts how often it was asked for."""

    def __init__(self, gradient: Gradient):
        self.gradient, self.evaluations = gradient, 0

    def __call__(self, points: Tensor, numbers: Tensor) -> Tensor:
        self.evaluations += 1
        return self.gradient(points, numbers)


class _Memory:
    """The last changes of points and slopes."""

    def __init__(self):
        self.changes: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, of_points: Float[Tensor, "d q"], of_slopes: Float[Tensor, "d q"]) -> None:
        """A change without curvature, which rounding can leave, counts for nothing."""
        product = (of_points * of_slopes).sum(0)
        weight = torch.where(product > 0, 1 / product, 0)
        self.changes = [*self.changes, (of_points, of_slopes, weight)][-_MEMORY:]

    def keep(self, which: Bool[Tensor, " q"]) -> None:
        if not which.all():
            self.changes = [(s[:, which], y[:, which], w[which]) for s, y, w in self.changes]

    def direction(
        self, slopes: Float[Tensor, "d q"], curved: Float[Tensor, "d q"]
    ) -> Float[Tensor, "d q"]:
        """Downhill, by the two loops of Nocedal 1980."""
        found, shares = -slopes, []
        for of_points, of_slopes, weight in reversed(self.changes):
            shares.append(weight * (of_points * found).sum(0))
            found = found - shares[-1] * of_slopes
        found = found / curved
        for of_points, of_slopes, weight in self.changes:
            found = found + (shares.pop() - weight * (of_slopes * found).sum(0)) * of_points
        return found


def _step(
    gradient: _Counted,
    points: Float[Tensor, "d q"],
    direction: Float[Tensor, "d q"],
    slopes: Float[Tensor, "d q"],
    numbers: Int[Tensor, " q"],
) -> tuple[Float[Tensor, "d q"], Float[Tensor, "d q"]]:
    """(change of the points, slopes there): as much of a step as does not overshoot."""
    change = direction.clone()
    after = gradient(points + change, numbers)
    first = (slopes * direction).sum(0).abs()
    for _ in range(_MAX_TRIALS):
        rise = (after * direction).sum(0)
        far = torch.nonzero(rise > _STEEPEST_RISE * first)[:, 0]
        if len(far) == 0:
            break
        change[:, far] *= (first[far] / (first[far] + rise[far])).clamp_min(0.1)
        after[:, far] = gradient(points[:, far] + change[:, far], numbers[far])
    return change, after

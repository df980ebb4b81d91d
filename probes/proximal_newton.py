"""Penalised logistic regression for many label columns over the same rows.

    minimise over w:  Σ_rows log(1 + exp(x·w)) - target * x·w  +  penalty(w)

The last column of x is 1 and its weight, the intercept, is not penalised. A round computes the
gradient over all units, keeps those that have a weight or should get one, and improves them by a
few accelerated steps. Each step minimises a quadratic model of the loss plus the penalty:

    loss(y) + g·(w - y) + L/2 (w - y)' H (w - y) + penalty(w)

H = X' diag(mean over columns of p (1 - p)) X is the Hessian that all columns share for the round:
exact for one column, nearly so for columns of shuffled labels, where p hardly moves. L is each
column's own correction of it, raised until the model lies above the loss. So the rows are read
twice a step, for all columns together, and everything else happens among the units.

Source: proximal Newton: Lee, Sun and Saunders 2014; accelerated steps with restart: Beck and
Teboulle 2009, section 4, O'Donoghue and Candès 2015, section 3.2.
"""

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

_MAX_ROUNDS = 100
_STEPS_A_ROUND = 6
_NEWCOMERS = 64  # units that a round adds at the least
_MAX_INNER_STEPS = 2000
_LEAST_FALL = 1e-7  # of the objective, in a round
_NOTHING = 1e-2  # nats a row: an objective under this is not reduced to its last digits
_NEVER = 1e15  # a cost at which a unit that hardly moves gets no weight, short of overflow


@dataclass(frozen=True)
class Penalty(ABC):
    """What the weights cost, and how near to the minimum they are."""

    cost: Float[Tensor, "d 1"]
    """Of each weight; 0 for the intercept."""
    scale: Float[Tensor, "d 1"]
    """The gradient of each weight in which violations are counted."""

    power: ClassVar[int]
    """A weight's cost in standardised units is its cost as recorded over sd to this power."""

    @classmethod
    def between(
        cls, unit_cost: Float[np.ndarray, " units"], targets: Float[Tensor, "n q"]
    ) -> "Penalty":
        """The penalty with this cost for each unit, and an intercept that costs nothing."""
        cost = torch.tensor(unit_cost, dtype=targets.dtype).clamp_max(_NEVER)
        rarer = torch.minimum(targets.sum(0), (1 - targets).sum(0)).min()
        scale = cls._scale(cost, len(targets))
        return cls(
            torch.cat([cost, cost.new_zeros(1)])[:, None], torch.cat([scale, rarer[None]])[:, None]
        )

    @staticmethod
    @abstractmethod
    def _scale(cost: Float[Tensor, " units"], rows: int) -> Float[Tensor, " units"]:
        """The scale of each unit."""

    def of(self, units: Int[Tensor, " some"]) -> "Penalty":
        """The penalty of these units alone."""
        return replace(self, cost=self.cost[units], scale=self.scale[units])

    @abstractmethod
    def value(self, weight: Float[Tensor, "d q"]) -> Float[Tensor, " q"]:
        """The penalty of each column."""

    @abstractmethod
    def violation(
        self, weight: Float[Tensor, "d q"], gradient: Float[Tensor, "d q"]
    ) -> Float[Tensor, "d q"]:
        """How far each weight is from what a minimum asks, in units of `scale`."""

    @abstractmethod
    def minimise(
        self,
        model: "Model",
        slope: Float[Tensor, "d q"],
        curvature: Float[Tensor, " q"],
        start: Float[Tensor, "d q"],
        tolerance: float,
    ) -> Float[Tensor, "d q"]:
        """The weights that minimise curvature/2 w'Hw - slope·w + penalty(w), column by column."""


@dataclass(frozen=True)
class Model:
    """The quadratic model of the loss that the columns of one round share."""

    hessian: Float[Tensor, "d d"]

    @cached_property
    def largest_eigenvalue(self) -> float:
        """From above: power iteration ends within a fifth, and the steps endure a third too few."""
        vector = torch.randn(
            len(self.hessian),
            1,
            dtype=self.hessian.dtype,
            generator=torch.Generator().manual_seed(0),
        )
        for _ in range(30):
            vector = self.hessian @ (vector / vector.norm())
        return 1.1 * float(vector.norm())


class L1(Penalty):
    """Σ cost |w|. A violation is relative to the cost: the gradient at which a unit gets a weight.

    With every violation under ε the objective is less than about 2ε of itself above its minimum;
    measured, it is nearer to ε².
    """

    power = 1

    @staticmethod
    def _scale(cost: Float[Tensor, " units"], rows: int) -> Float[Tensor, " units"]:
        return cost

    def value(self, weight: Float[Tensor, "d q"]) -> Float[Tensor, " q"]:
        return (self.cost * weight.abs()).sum(0, dtype=torch.float64)

    def violation(
        self, weight: Float[Tensor, "d q"], gradient: Float[Tensor, "d q"]
    ) -> Float[Tensor, "d q"]:
        with_weight = (gradient + self.cost * weight.sign()).abs()
        without = (gradient.abs() - self.cost).clamp_min(0)
        return torch.where(weight != 0, with_weight, without) / self.scale

    def minimise(
        self,
        model: Model,
        slope: Float[Tensor, "d q"],
        curvature: Float[Tensor, " q"],
        start: Float[Tensor, "d q"],
        tolerance: float,
    ) -> Float[Tensor, "d q"]:
        """Accelerated soft thresholding with restart."""
        step = 1 / (curvature * model.largest_eigenvalue)
        threshold = step * self.cost
        weight = ahead = start
        momentum = torch.ones_like(curvature)
        for count in range(1, _MAX_INNER_STEPS + 1):
            moved = ahead - step * (curvature * (model.hessian @ ahead) - slope)
            new = moved.sign() * (moved.abs() - threshold).clamp_min(0)
            if count % 5 == 0 and ((new - ahead).abs() / (step * self.scale)).max() <= tolerance:
                return new
            momentum, push = _next_momentum(momentum, ((ahead - new) * (new - weight)).sum(0) > 0)
            weight, ahead = new, new + push * (new - weight)
        return weight


class L2(Penalty):
    """½ Σ cost w². With every violation under ε the objective is less than ε² above its minimum,
    as a share of the loss of an even guess, rows · log 2."""

    power = 2

    @staticmethod
    def _scale(cost: Float[Tensor, " units"], rows: int) -> Float[Tensor, " units"]:
        return torch.sqrt(2 * cost * rows * math.log(2) / len(cost))

    def value(self, weight: Float[Tensor, "d q"]) -> Float[Tensor, " q"]:
        return (self.cost * weight.square()).sum(0, dtype=torch.float64) / 2

    def violation(
        self, weight: Float[Tensor, "d q"], gradient: Float[Tensor, "d q"]
    ) -> Float[Tensor, "d q"]:
        return (gradient + self.cost * weight).abs() / self.scale

    def minimise(
        self,
        model: Model,
        slope: Float[Tensor, "d q"],
        curvature: Float[Tensor, " q"],
        start: Float[Tensor, "d q"],
        tolerance: float,
    ) -> Float[Tensor, "d q"]:
        """In closed form; start and tolerance are not needed."""
        matrices = curvature[:, None, None] * model.hessian + torch.diag(self.cost[:, 0])
        return torch.linalg.solve(matrices, slope.T[:, :, None])[:, :, 0].T


def minimise(
    rows: Float[Tensor, "n d"],
    targets: Float[Tensor, "n q"],
    penalty: Penalty,
    start: Float[Tensor, "d q"],
    *,
    tolerance: float = 5e-3,
) -> Float[Tensor, "d q"]:
    """The weights of each column of targets, the intercept last.

    A column is finished when no violation is above the tolerance, or when a round no longer
    lowers its objective by one part in 10^7: near to what float32 can tell.

    Args:
        rows: Activations, standardised for speed, and a last column of 1.
        targets: 0 or 1, a column for each fit.
        penalty: Of all units and the intercept.
        start: Where to begin: the weights at a neighbouring strength.
        tolerance: Largest violation that is left, as the penalty counts them.

    Warns:
        RuntimeWarning: If a column is not finished after 100 rounds.
    """
    weight = start.clone()
    columns = torch.arange(targets.shape[1])
    before = torch.full(columns.shape, torch.inf, dtype=torch.float64)
    for _ in range(_MAX_ROUNDS):
        margins = rows @ weight
        violation = penalty.violation(weight, rows.T @ (torch.sigmoid(margins) - targets))
        objective = _loss(margins, targets) + penalty.value(weight)
        falling = before - objective > _LEAST_FALL * objective.clamp_min(_NOTHING * len(rows))
        columns = torch.nonzero((violation.amax(0) > tolerance) & falling)[:, 0]
        if len(columns) == 0:
            return weight
        before = objective
        units = _working_units(weight[:, columns], violation[:, columns], tolerance)
        part = units[:, None], columns
        weight[part] = _improve(
            rows[:, units], targets[:, columns], penalty.of(units), weight[part], tolerance / 2
        )
    warnings.warn(
        f"{len(columns)} of {targets.shape[1]} fits have not converged after {_MAX_ROUNDS} rounds: "
        "use float64 activations, or smaller strengths.",
        RuntimeWarning,
        stacklevel=2,
    )
    return weight


def _working_units(
    weight: Float[Tensor, "d q"], violation: Float[Tensor, "d q"], tolerance: float
) -> Int[Tensor, " some"]:
    """Units with a weight, as many again that violate most, and the intercept."""
    present = weight != 0
    newcomers = min(max(_NEWCOMERS, int(present.sum(0).max())), len(weight))
    bar = violation.topk(newcomers, dim=0).values[-1].clamp_min(tolerance)
    wanted = present | (violation >= bar)
    wanted[-1] = True
    return torch.nonzero(wanted.any(1))[:, 0]


def _improve(
    rows: Float[Tensor, "n d"],
    targets: Float[Tensor, "n q"],
    penalty: Penalty,
    weight: Float[Tensor, "d q"],
    tolerance: float,
) -> Float[Tensor, "d q"]:
    """A few accelerated proximal Newton steps with one Hessian."""
    ahead, margins = weight, rows @ weight
    sureness = _sureness(margins)
    shared = sureness.mean(1, keepdim=True)
    model = Model((rows * shared).T @ rows)
    curvature = (sureness.mean(0) / shared.mean()).clamp_min(1e-6)
    momentum = torch.ones_like(curvature)
    for _ in range(_STEPS_A_ROUND):
        gradient = rows.T @ (torch.sigmoid(margins) - targets)
        violation = float(penalty.violation(ahead, gradient).max())
        if violation <= tolerance:
            return ahead
        loss = _loss(margins, targets)
        while True:
            slope = curvature * (model.hessian @ ahead) - gradient
            new = penalty.minimise(model, slope, curvature, ahead, violation / 10)
            change = new - ahead
            quadratic = (change * (model.hessian @ change)).sum(0) / 2
            allowed = loss + (gradient * change).sum(0) + curvature * quadratic + 1e-6 * loss
            new_margins = rows @ new
            too_low = _loss(new_margins, targets) > allowed
            if not too_low.any():
                break
            curvature = torch.where(too_low, 1.5 * curvature, curvature)
        against = ((ahead - new) * (model.hessian @ (new - weight))).sum(0) > 0
        momentum, push = _next_momentum(momentum, against)
        weight, ahead = new, torch.where(new == 0, 0, new + push * (new - weight))
        margins = rows @ ahead if push.any() else new_margins
    return weight


def _next_momentum(momentum: Tensor, restart: Tensor) -> tuple[Tensor, Tensor]:
    """(momentum, push): how far each column goes on in the direction of its last step."""
    momentum = torch.where(restart, 1.0, momentum)
    following = (1 + torch.sqrt(1 + 4 * momentum.square())) / 2
    return following, (momentum - 1) / following


def _loss(margins: Float[Tensor, "n q"], targets: Float[Tensor, "n q"]) -> Float[Tensor, " q"]:
    return (softplus(margins) - targets * margins).sum(0, dtype=torch.float64)


def _sureness(margins: Float[Tensor, "n q"]) -> Float[Tensor, "n q"]:
    """p (1 - p), the curvature of each row's loss, with a floor that keeps the Hessian from 0."""
    return (torch.sigmoid(margins) * torch.sigmoid(-margins)).clamp_min(1e-6)

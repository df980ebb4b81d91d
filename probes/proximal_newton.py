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
from typing import ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import softplus

_MAX_ROUNDS = 100
_STEPS_A_ROUND = 10
_MAX_INNER_STEPS = 2000
_SOLVE_AFTER = {20 * 2**power for power in range(7)}
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
    def between(cls, unit_cost: Float[np.ndarray, " units"], targets: Float[Tensor, "n q"]) -> Self:
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

    def of(self, units: Int[Tensor, " some"]) -> Self:
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
        """Accelerated soft thresholding with restart, which finds who gets a weight of which sign.

        What is left is then linear: now and then the weights that this sign pattern asks for are
        solved for, and kept where they prove to be the minimum.
        """
        step = 1 / (curvature * model.largest_eigenvalue)
        threshold = step * self.cost
        weight = ahead = start
        momentum = torch.ones_like(curvature)
        for count in range(1, _MAX_INNER_STEPS + 1):
            moved = ahead - step * (curvature * (model.hessian @ ahead) - slope)
            new = moved.sign() * (moved.abs() - threshold).clamp_min(0)
            if count % 5 == 0 and ((new - ahead).abs() / (step * self.scale)).max() <= tolerance:
                return new
            against = ((ahead - new) * (new - weight)).sum(0) > 0
            if count in _SOLVE_AFTER:
                solved = self._solve_signs(model, slope, curvature, new)
                gradient = curvature * (model.hessian @ solved) - slope
                minimal = self.violation(solved, gradient).amax(0) <= tolerance
                new = torch.where(minimal, solved, new)
                if minimal.all():
                    return new
                against |= minimal
            momentum, push = _next_momentum(momentum, against)
            weight, ahead = new, new + push * (new - weight)
        return weight

    def _solve_signs(
        self,
        model: Model,
        slope: Float[Tensor, "d q"],
        curvature: Float[Tensor, " q"],
        weight: Float[Tensor, "d q"],
    ) -> Float[Tensor, "d q"]:
        """The minimum if only the present weights were allowed and kept their signs."""
        free = ((weight != 0) | (self.cost == 0)).T
        matrices = torch.where(
            free[:, :, None] & free[:, None, :],
            curvature[:, None, None].double() * model.hessian.double(),
            torch.diag_embed((~free).double()),
        )
        wanted = torch.where(free, (slope - self.cost * weight.sign()).T, 0.0).double()
        solved, _ = torch.linalg.solve_ex(matrices, wanted)
        return solved.T.to(weight.dtype)


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
    tolerance: float = 1e-3,
) -> Float[Tensor, "d q"]:
    """The weights of each column of targets, the intercept last.

    Args:
        rows: Activations, standardised for speed, and a last column of 1.
        targets: 0 or 1, a column for each fit.
        penalty: Of all units and the intercept.
        start: Where to begin: the weights at a neighbouring strength.
        tolerance: Largest violation that is left, as the penalty counts them.

    Warns:
        RuntimeWarning: If that is not reached.
    """
    weight = start.clone()
    violation = torch.full_like(weight, torch.inf)
    for _ in range(_MAX_ROUNDS):
        gradient = rows.T @ (torch.sigmoid(rows @ weight) - targets)
        violation = penalty.violation(weight, gradient)
        if violation.max() <= tolerance:
            return weight
        columns = torch.nonzero((violation > tolerance).any(0))[:, 0]
        wanted = (weight[:, columns] != 0) | (violation[:, columns] > tolerance)
        wanted[-1] = True
        units = torch.nonzero(wanted.any(1))[:, 0]
        part = units[:, None], columns
        weight[part] = _improve(
            rows[:, units], targets[:, columns], penalty.of(units), weight[part], tolerance / 2
        )
    warnings.warn(
        f"After {_MAX_ROUNDS} rounds a weight is {float(violation.max()):.2g} from its optimum, "
        f"more than the {tolerance:g} asked: use float64 activations, or smaller strengths.",
        RuntimeWarning,
        stacklevel=2,
    )
    return weight


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
    """p (1 - p), the curvature of the loss of each row; a floor keeps the Hessian from vanishing."""
    return (torch.sigmoid(margins) * torch.sigmoid(-margins)).clamp_min(1e-6)

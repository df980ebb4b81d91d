"""L2 logistic regression of many labels at many strengths, sharing every pass over the rows.

A fit minimises, as scikit-learn's LogisticRegression (solver "lbfgs") after a StandardScaler:

    C Σ_rows log loss  +  ½ Σ w²            over standardised units, the intercept free

which over the rows is the mean log loss plus λ/2 Σ w² with λ = 1 / (C rows).

All fits are minimised at once by L-BFGS, in coordinates in which the activations are white: there
the loss has nearly the same curvature in every direction, and the penalty is what is left to
precondition. A pass costs two products of the rows with a column for each fit that is not yet
finished; nothing else depends on the number of rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from probes.lbfgs import minimise_many
from probes.rows import BLOCK, Rows, centre, covariance, sample_rows

_SAMPLE = 8192
"""Rows that the curvature is measured on: it need not be exact."""
_TOLERANCE = 1e-8
"""Nats that the objective, as a mean over rows, may lie above its minimum."""
_MAX_STEPS = 200
_RAREST = 1e-9
_FLATTEST = 1e-7


@dataclass(frozen=True)
class LogisticFits:
    """A fit for each strength and problem, for activations as they are recorded."""

    weight: Float[Tensor, "strengths problems scores d"]
    """Of each class; of two classes, one weight for the log-odds of label 1."""
    bias: Float[Tensor, "strengths problems scores"]
    excess: Float[Tensor, "strengths problems"]
    """Nats a row that the objective is above its minimum, by its slope and curvature."""
    converged: Bool[Tensor, "strengths problems"]
    """Whether that is within the tolerance."""
    passes: int
    """How many gradients were computed: the most of the passes over the rows."""


@dataclass(frozen=True)
class Whitening:
    """Coordinates in which the activations have covariance 1."""

    map: Float[Tensor, "d r"]
    """From the coordinates of weights to weights of centred activations."""
    cost: Float[Tensor, " r"]
    """Σ w² of standardised units, for 1 in each coordinate."""


def whiten(covariance: Float[Tensor, "d d"], scale: Float[Tensor, " d"]) -> Whitening:
    """Coordinates of the directions that the activations move in.

    Args:
        covariance: Of the activations, in float64.
        scale: Standard deviation of each unit, or 1 to penalise weights as recorded; 0 for a unit
            that does not move.
    """
    inverse = torch.where(scale > 0, 1 / scale, 0)
    values, vectors = torch.linalg.eigh(inverse[:, None] * covariance * inverse)
    moving = values > values[-1] * len(values) * torch.finfo(torch.float32).eps * 1e-2
    values, vectors = values[moving], vectors[:, moving]
    return Whitening(inverse[:, None] * vectors / values.sqrt(), 1 / values)


def fit_logistic(
    acts: Float[Tensor, "n d"],
    labels: Int[Tensor, "n problems"],
    *,
    classes: int = 2,
    strengths: Sequence[float],
    standardise: bool = True,
    tolerance: float = _TOLERANCE,
    max_steps: int = _MAX_STEPS,
) -> LogisticFits:
    """A fit at every strength for every column of labels.

    Args:
        acts: Activations; those in float64 are fitted in double precision.
        labels: 0 to classes - 1, a column for each problem.
        classes: Of every problem.
        strengths: Values of C.
        standardise: Whether weights are penalised per standard deviation of their unit.
        tolerance: Nats that the objective, as a mean over rows, may lie above its minimum.
        max_steps: After so many steps a fit that has not converged is left as it is.
    """
    rows, mean = centre(acts)
    covaried = covariance(rows)
    scale = covaried.diagonal().sqrt()
    still = scale <= 4 * torch.finfo(acts.dtype).eps * mean.abs()  # only rounding is left
    scale = torch.where(still, 0, scale if standardise else torch.ones_like(scale))
    problem = _Problem(rows, labels, whiten(covaried, scale), classes, strengths)
    found = minimise_many(
        problem.slopes,
        problem.curvature,
        problem.start(),
        tolerance=tolerance,
        max_steps=max_steps,
    )
    weight, bias = (part.movedim(-1, 0) for part in problem.weights(found.points))
    weight = weight.mT
    bias = (bias - weight @ mean.to(weight.dtype)).to(weight.dtype)
    shape = len(strengths), labels.shape[1]
    return LogisticFits(
        weight.unflatten(0, shape),
        bias.unflatten(0, shape),
        found.excess.unflatten(0, shape),
        found.finished.unflatten(0, shape),
        found.evaluations,
    )


class _Problem:
    """The objectives, a column for each fit: strengths in the outer order, problems in the inner.

    A point is, flattened, a row for each white coordinate and one for the bias, a column for each
    score. The labels enter by their products with the activations alone.
    """

    def __init__(
        self,
        rows: Rows,
        labels: Int[Tensor, "n problems"],
        whitening: Whitening,
        classes: int,
        strengths: Sequence[float],
    ):
        self.rows, self.scores = rows, 1 if classes == 2 else classes
        self.map = whitening.map.to(next(rows.blocks()).dtype)
        self.problem = torch.arange(labels.shape[1]).repeat(len(strengths))
        penalty = 1 / (torch.tensor(strengths, dtype=torch.float64) * rows.count)
        penalty = penalty.repeat_interleave(labels.shape[1]).to(self.map.dtype)
        cost = torch.cat([whitening.cost.to(self.map.dtype), self.map.new_zeros(1)])
        self.penalty = (cost[:, None] * penalty)[:, None, :]
        sample = sample_rows(rows, _SAMPLE) @ self.map
        self.sample = torch.cat([sample, torch.ones_like(sample[:, :1])], dim=1)
        self.squares = (self.sample.square() / len(sample)).T.contiguous()
        self.aims = self._products(self._targets(labels))

    def start(self) -> Float[Tensor, "points q"]:
        """No weights, and the biases at which each score is right on average."""
        point = self.map.new_zeros(self.map.shape[1] + 1, self.scores, len(self.problem))
        shares = self.aims[-1][:, self.problem].clamp(_RAREST, 1 - _RAREST)
        point[-1] = shares.logit() if self.scores == 1 else shares.log()
        return point.flatten(0, 1)

    def slopes(
        self, points: Float[Tensor, "points some"], fits: Int[Tensor, " some"]
    ) -> Float[Tensor, "points some"]:
        """Gradients of the mean log loss plus penalty, by a pass over the rows."""
        weight, bias = self.raw(points)
        chances = (
            _chances(torch.addmm(bias.flatten(), block, weight.flatten(1)), self.scores)
            for block in self.rows.blocks()
        )
        slopes = self._products(chances) - self.aims[:, :, self.problem[fits]]
        point = points.unflatten(0, (-1, self.scores))
        return (slopes + self.penalty[:, :, fits] * point).flatten(0, 1)

    def curvature(
        self, points: Float[Tensor, "points some"], fits: Int[Tensor, " some"]
    ) -> Float[Tensor, "points some"]:
        """Diagonals of the Hessians, the loss's share of them on a sample of the rows."""
        point = points.unflatten(0, (-1, self.scores))
        chances = _chances(self.sample @ point.flatten(1), self.scores)
        sureness = (chances * (1 - chances)).flatten(1)
        curved = (self.squares @ sureness).unflatten(1, (self.scores, -1))
        return (curved + self.penalty[:, :, fits]).clamp_min(_FLATTEST).flatten(0, 1)

    def raw(
        self, points: Float[Tensor, "points some"]
    ) -> tuple[Float[Tensor, "d scores some"], Float[Tensor, "scores some"]]:
        """(weight, bias) for centred activations."""
        point = points.unflatten(0, (-1, self.scores))
        return (self.map @ point[:-1].flatten(1)).unflatten(1, point.shape[1:]), point[-1]

    def weights(
        self, points: Float[Tensor, "points q"]
    ) -> tuple[Float[Tensor, "d scores q"], Float[Tensor, "scores q"]]:
        """`raw`, where only differences between scores count with their mean taken off."""
        weight, bias = self.raw(points)
        if self.scores == 1:
            return weight, bias
        return weight - weight.mean(1, keepdim=True), bias - bias.mean(0)

    def _products(
        self, blocks: Iterable[Float[Tensor, "block scores some"]]
    ) -> Float[Tensor, "points_1 scores some"]:
        """Mean over the rows of their white coordinates, and of 1, times what is given for each."""
        total = means = torch.zeros((), dtype=torch.float64)
        for acts, given in zip(self.rows.blocks(), blocks, strict=True):
            total = total + (acts.T @ given.flatten(1)).double() / self.rows.count
            means = means + given.sum(0).double() / self.rows.count
        white = (self.map.T @ total.to(self.map.dtype)).unflatten(1, means.shape)
        return torch.cat([white, means[None].to(white.dtype)])

    def _targets(
        self, labels: Int[Tensor, "n problems"]
    ) -> Iterator[Float[Tensor, "block scores problems"]]:
        for block in labels.split(BLOCK):
            if self.scores == 1:
                yield block[:, None].to(self.map.dtype)
            else:
                yield one_hot(block.long(), self.scores).mT.to(self.map.dtype)


def _chances(
    scores: Float[Tensor, "n scores_fits"], classes: int
) -> Float[Tensor, "n classes fits"]:
    """Probability of each class, of label 1 where there is one score."""
    split = scores.unflatten(1, (classes, -1))
    return split.sigmoid_() if classes == 1 else split.softmax(1)

"""How few units carry a categorical label: multinomial probes on the k best units, for growing k.

A fit minimises, as scikit-learn's LogisticRegression after a StandardScaler:

    strength Σ_rows log loss(softmax(z · weight + bias), label)  +  ½ Σ weight²

over standardised units z, the biases free, in double precision. It is made in the coordinates in
which the loss, while no weight has grown, curves the same in every direction: those of a Cholesky
factor of what the units' covariance and the penalty add up to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from probes.class_ranking import check_classes, rank_units_by_class
from probes.inputs import check_acts
from probes.ksparse_parts import (
    MOST_UNITS,
    SparseFit,
    StandardUnits,
    check_ks,
    check_penalties,
    check_same_units,
    check_width,
    powers_of_two,
    said_of,
)
from probes.logistic import STRENGTHS

_EXCESS = 1e-9  # nats a row that an objective lies above its minimum, at the most
_MAX_STEPS = 1000


@dataclass(frozen=True, eq=False)
class SparseClassifier(SparseFit):
    """Scores of classes from k units; its strengths are C, its dev scores accuracies."""

    weight: Float[np.ndarray, "classes d"]
    """Weight of each unit, for activations as they are recorded; 0 for units not read."""
    bias: Float[np.ndarray, " classes"]
    """Scores where every activation is 0."""
    converged: tuple[bool, ...]
    """Whether the fit at each of `strengths` came to its minimum. One that did not is chosen only
    if none did."""

    def log_probabilities(self, acts: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n classes"]:
        """Log probability of each class, in nats.

        Raises:
            ValueError: If the activations have another width than those of the fit.
        """
        check_width(acts, self.weight.shape[1])
        scores = acts[:, self.units].astype(np.float64) @ self.weight[:, self.units].T + self.bias
        return torch.from_numpy(scores).log_softmax(1).numpy()

    def predict(self, acts: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
        """The most probable class of each row."""
        return self.log_probabilities(acts).argmax(axis=1)

    def accuracy(self, acts: Float[np.ndarray, "n d"], labels: Integer[np.ndarray, " n"]) -> float:
        """Share of rows whose class is predicted."""
        return float(np.mean(self.predict(acts) == labels))


def ksparse_class_curve(
    train_acts: Float[np.ndarray, "n d"],
    train_labels: Integer[np.ndarray, " n"],
    dev_acts: Float[np.ndarray, "m d"],
    dev_labels: Integer[np.ndarray, " m"],
    *,
    ks: Sequence[int] | None = None,
    strengths: Sequence[float] | Float[np.ndarray, " s"] = STRENGTHS,
) -> tuple[SparseClassifier, ...]:
    """For each k, multinomial logistic regression on the k units that `rank_units_by_class` puts
    first on train.

    Of equally accurate strengths it is the smallest C.

    Args:
        train_acts: Activations to rank and fit on.
        train_labels: Class of each row: 0, 1 and so on, with none left out.
        dev_acts: Activations to choose the strength on.
        dev_labels: Classes that train has; some may be left out.
        ks: Numbers of units; 1, 2, 4, ..., 64, or all units where there are fewer, by default.
        strengths: Values of C, above 0.

    Raises:
        ValueError: If activations are not finite, labels do not fit, a k is not between 1 and the
            number of units, or a strength is not above 0.
    """
    strengths = check_penalties(strengths)
    check_same_units(train_acts, dev_acts)
    with said_of("train"):
        check_classes(train_labels, rows=len(train_acts))
    classes = int(train_labels.max()) + 1
    with said_of("dev"):
        check_acts(dev_acts)
        _check_known(dev_labels, len(dev_acts), classes)
    with said_of("train"):
        ranked = rank_units_by_class(train_acts, train_labels).order()
    ks = powers_of_two(min(MOST_UNITS, len(ranked))) if ks is None else ks
    check_ks(ks, len(ranked))

    read = ranked[: max(ks)]
    train = StandardUnits.of(train_acts[:, read])
    dev_units = train.like_them(dev_acts[:, read])
    curve = []
    for k in ks:
        path = _Path(train.values[:, :k], train_labels, classes).fits(strengths)
        scores = [dev_units[:, :k] @ fit.weight.T + fit.bias for fit in path]
        right = [float(np.mean(score.argmax(axis=1) == dev_labels)) for score in scores]
        best = max(range(len(path)), key=lambda fit: (path[fit].converged, right[fit]))
        weight = np.zeros((classes, len(ranked)))
        weight[:, read[:k]] = path[best].weight / train.scale[:k]
        curve.append(
            SparseClassifier(
                units=read[:k],
                strength=strengths[best],
                strengths=strengths,
                dev_scores=tuple(right),
                weight=weight,
                bias=path[best].bias - weight[:, read[:k]] @ train.mean[:k],
                converged=tuple(fit.converged for fit in path),
            )
        )
    return tuple(curve)


@dataclass(frozen=True)
class _Fit:
    weight: Float[np.ndarray, "classes k"]
    bias: Float[np.ndarray, " classes"]
    converged: bool


class _Path:
    """Fits of the same rows, each started from the one of the next stronger penalty.

    A point is the weights and, last, the bias of each class.
    """

    def __init__(
        self, units: Float[np.ndarray, "n k"], labels: Integer[np.ndarray, " n"], classes: int
    ):
        rows = np.vstack([units.T, np.ones(len(units))])
        is_class = np.eye(classes)[labels]
        self.rows = torch.from_numpy(rows)
        self.count = len(units)
        self.covariance = rows @ rows.T / len(units)
        self.share = is_class.mean(axis=0)
        self.reached = is_class.T @ rows.T / len(units)

    def fits(self, strengths: Sequence[float]) -> list[_Fit]:
        """A fit at each of the ascending strengths."""
        point = np.zeros((len(self.share), len(self.covariance)))
        point[:, -1] = np.log(self.share)
        found = []
        for strength in strengths:
            point, converged = self._minimum(point, 1 / (strength * self.count))
            found.append(_Fit(point[:, :-1], point[:, -1], converged))
        return found

    def _minimum(
        self, start: Float[np.ndarray, "classes k_and_1"], penalty: float
    ) -> tuple[Float[np.ndarray, "classes k_and_1"], bool]:
        """Where the mean log loss + penalty / 2 Σ weight² is least, and whether it is.

        The penalty alone curves it so much that it is at most slope² / (2 penalty) above its
        minimum.
        """
        cost = np.full(len(self.covariance), penalty)
        cost[-1] = 0
        curvature = float(np.mean(self.share * (1 - self.share)))
        factor = np.linalg.cholesky(curvature * self.covariance + np.diag(cost))

        def even(flat: np.ndarray) -> tuple[float, np.ndarray]:
            point = solve_triangular(factor.T, flat.reshape(start.shape).T).T
            loss, slope = self._loss(point)
            loss += float((cost * np.square(point)).sum()) / 2
            slopes = solve_triangular(factor, (slope + cost * point).T, lower=True).T
            return loss, slopes.ravel()

        small = np.sqrt(2 * penalty * _EXCESS / start.size)
        found = minimize(
            even,
            (start @ factor).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_STEPS, "ftol": 0, "gtol": small / np.linalg.norm(factor)},
        )
        point = solve_triangular(factor.T, found.x.reshape(start.shape).T).T
        slope = found.jac.reshape(start.shape) @ factor.T
        return point, bool(np.square(slope).sum() <= 2 * penalty * _EXCESS)

    def _loss(
        self, point: Float[np.ndarray, "classes k_and_1"]
    ) -> tuple[float, Float[np.ndarray, "classes k_and_1"]]:
        """Mean log loss and its slope."""
        scores = torch.from_numpy(point) @ self.rows
        loss = float(scores.logsumexp(0).mean()) - float((point * self.reached).sum())
        expected = (scores.softmax(0) @ self.rows.T / self.count).numpy()
        return loss, expected - self.reached


def _check_known(labels: np.ndarray, rows: int, classes: int) -> None:
    if labels.shape != (rows,):
        raise ValueError(
            f"There are {rows} rows and labels of shape {labels.shape}: give one label a row."
        )
    unknown = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(unknown):
        row = unknown[0]
        raise ValueError(
            f"The label of row {row} is {labels[row]}: train has classes 0 to {classes - 1}."
        )

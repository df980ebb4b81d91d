"""How few units carry a scalar label: ridge regression on the k best units, for growing k.

A fit minimises, as scikit-learn's Ridge after a StandardScaler:

    Σ_rows (z · weight + bias - target)²  +  strength Σ weight²      z: the units, standardised

All fits are solutions of parts of one Gram matrix, in double precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

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
from probes.spearman import check_scalars, rank_units_by_spearman

ALPHAS: tuple[float, ...] = tuple(10.0**power for power in range(-2, 6))
"""Strengths of the ridge penalty, scikit-learn's alpha, from 0.01 to 100,000."""


@dataclass(frozen=True, eq=False)
class SparseRegression(SparseFit):
    """A linear map from k units to a scalar; its strengths are alpha, its scores R²."""

    weight: Float[np.ndarray, " d"]
    """Weight of each unit, for activations as they are recorded; 0 for units not read."""
    bias: float
    """The prediction where every activation is 0."""

    def predict(self, acts: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """The target of each row.

        Raises:
            ValueError: If the activations have another width than those of the fit.
        """
        check_width(acts, len(self.weight))
        return acts[:, self.units].astype(np.float64) @ self.weight[self.units] + self.bias

    def score(self, acts: Float[np.ndarray, "n d"], targets: Real[np.ndarray, " n"]) -> float:
        """R²: 1 for a perfect prediction, 0 for one that is no better than the targets' mean.

        Raises:
            ValueError: As `predict`, or if the targets do not fit or are all the same.
        """
        check_scalars(targets, rows=len(acts))
        return float(_r_squared(targets, self.predict(acts)[:, None])[0])


def ksparse_regression_curve(
    train_acts: Float[np.ndarray, "n d"],
    train_targets: Real[np.ndarray, " n"],
    dev_acts: Float[np.ndarray, "m d"],
    dev_targets: Real[np.ndarray, " m"],
    *,
    ks: Sequence[int] | None = None,
    strengths: Sequence[float] | Float[np.ndarray, " s"] = ALPHAS,
) -> tuple[SparseRegression, ...]:
    """For each k, ridge regression on the k units of the strongest Spearman correlation on train.

    Of strengths that score the same on dev it is the largest.

    Args:
        train_acts: Activations to rank and fit on.
        train_targets: Label of each row, finite and not all the same.
        dev_acts: Activations to choose the strength on.
        dev_targets: As `train_targets`.
        ks: Numbers of units; 1, 2, 4, ..., 64, or all units where there are fewer, by default.
        strengths: Values of alpha, above 0.

    Raises:
        ValueError: If activations or targets are not finite or do not fit, targets are all the
            same, a k is not between 1 and the number of units, or a strength is not above 0.
    """
    strengths = check_penalties(strengths)
    check_same_units(train_acts, dev_acts)
    with said_of("dev"):
        check_acts(dev_acts)
        check_scalars(dev_targets, rows=len(dev_acts))
    with said_of("train"):
        ranked = rank_units_by_spearman(train_acts, train_targets).order()
    ks = powers_of_two(min(MOST_UNITS, len(ranked))) if ks is None else ks
    check_ks(ks, len(ranked))

    read = ranked[: max(ks)]
    train = StandardUnits.of(train_acts[:, read])
    dev_units = train.like_them(dev_acts[:, read])
    gram = train.values.T @ train.values
    mean = float(train_targets.mean(dtype=np.float64))
    products = train.values.T @ (train_targets - mean)
    curve = []
    for k in ks:
        path = _ridge_path(gram[:k, :k], products[:k], strengths)
        dev_scores = _r_squared(dev_targets, dev_units[:, :k] @ path + mean)
        best = len(strengths) - 1 - int(dev_scores[::-1].argmax())
        weight = np.zeros(len(ranked))
        weight[read[:k]] = path[:, best] / train.scale[:k]
        curve.append(
            SparseRegression(
                units=read[:k],
                strength=strengths[best],
                strengths=strengths,
                dev_scores=tuple(dev_scores.tolist()),
                weight=weight,
                bias=mean - float(train.mean[:k] @ weight[read[:k]]),
            )
        )
    return tuple(curve)


def _ridge_path(
    gram: Float[np.ndarray, "k k"], products: Float[np.ndarray, " k"], strengths: Sequence[float]
) -> Float[np.ndarray, "k s"]:
    """Weights of standardised units at each strength."""
    penalties = np.multiply.outer(strengths, np.eye(len(gram)))
    return np.linalg.solve(gram + penalties, products[:, None])[:, :, 0].T


def _r_squared(
    targets: Real[np.ndarray, " n"], predicted: Float[np.ndarray, "n s"]
) -> Float[np.ndarray, " s"]:
    """Of each column of predictions."""
    missed = np.square(predicted - targets[:, None]).sum(axis=0)
    return 1 - missed / np.square(targets - targets.mean(dtype=np.float64)).sum()

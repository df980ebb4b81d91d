"""Logistic probes along a path of strengths, the best chosen on dev.

A fit minimises, as scikit-learn's LogisticRegression (solver "saga", which leaves the intercept
unpenalised, as "liblinear" does not):

    C Σ_rows log loss(w · acts + b, label)  +  Σ_units |w|        (L2: ½ Σ_units w²)

Whatever the penalty, the solver works with standardised units, where it is fast: there a weight
is larger by the unit's standard deviation, and its cost smaller by as much. With
`standardise=True` every standardised weight costs the same instead, so that a unit is not
favoured for its large numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from probes.inputs import check_parts
from probes.linear import LinearProbe
from probes.proximal_newton import L1, L2, minimise

STRENGTHS: tuple[float, ...] = tuple(2.0**power for power in range(-8, 1))
"""C from 1/256 to 1. Source: Radford et al. 2017, section 3."""


_SHORT = 1 << 20  # cells of a table so short that double precision costs nothing


def fit_l1_path(
    train_acts: Float[np.ndarray, "n d"],
    train_labels: Integer[np.ndarray, " n"],
    dev_acts: Float[np.ndarray, "m d"],
    dev_labels: Integer[np.ndarray, " m"],
    *,
    strengths: Sequence[float] | Float[np.ndarray, " s"] = STRENGTHS,
    standardise: bool = False,
) -> LinearProbe:
    """L1 logistic regression at every strength; the one that is most accurate on dev.

    Of equally accurate ones it is the smallest C: the sparsest.

    Args:
        train_acts: Activations to fit. Float64 ones are fitted in double precision.
        train_labels: 0 or 1, both present.
        dev_acts: Activations to choose on.
        dev_labels: 0 or 1, both present.
        strengths: Values of C, above 0.
        standardise: Whether weights are penalised per standard deviation of their unit. The
            weights returned are for activations as recorded either way.

    Raises:
        ValueError: If activations are not finite, labels do not fit or hold one class, or a
            strength is not above 0.

    Source: Radford et al. 2017, section 3 (activations as they are, C chosen on validation data).
    """
    return fit_l1_path_many(
        train_acts,
        train_labels[:, None],
        dev_acts,
        dev_labels[:, None],
        strengths=strengths,
        standardise=standardise,
    )[0]


def fit_l1_path_many(
    train_acts: Float[np.ndarray, "n d"],
    train_columns: Integer[np.ndarray, "n q"],
    dev_acts: Float[np.ndarray, "m d"],
    dev_columns: Integer[np.ndarray, "m q"],
    *,
    strengths: Sequence[float] | Float[np.ndarray, " s"] = STRENGTHS,
    standardise: bool = False,
) -> list[LinearProbe]:
    """`fit_l1_path` for each pair of label columns, in one go.

    All columns share every pass over the activations, so that the twenty shuffled columns of a
    baseline cost little more than one.

    Raises:
        ValueError: As `fit_l1_path`, or if the numbers of columns differ.
    """
    return _fit_path(L1, train_acts, train_columns, dev_acts, dev_columns, strengths, standardise)


def fit_l2_path(
    train_acts: Float[np.ndarray, "n d"],
    train_labels: Integer[np.ndarray, " n"],
    dev_acts: Float[np.ndarray, "m d"],
    dev_labels: Integer[np.ndarray, " m"],
    *,
    strengths: Sequence[float] | Float[np.ndarray, " s"] = STRENGTHS,
    standardise: bool = False,
) -> LinearProbe:
    """As `fit_l1_path` with the penalty ½ Σ w²: every unit keeps a weight."""
    return _fit_path(
        L2,
        train_acts,
        train_labels[:, None],
        dev_acts,
        dev_labels[:, None],
        strengths,
        standardise,
    )[0]


def _fit_path(
    penalty: type[L1] | type[L2],
    train_acts: np.ndarray,
    train_columns: np.ndarray,
    dev_acts: np.ndarray,
    dev_columns: np.ndarray,
    strengths: Sequence[float] | np.ndarray,
    standardise: bool,
) -> list[LinearProbe]:
    check_parts(train_acts, train_columns, dev_acts, dev_columns)
    ascending = _check_strengths(strengths)
    rows = _StandardRows.of(train_acts)
    targets = torch.tensor(train_columns, dtype=rows.values.dtype)
    unit_cost = np.ones(rows.sd.shape) if standardise else rows.sd ** -float(penalty.power)
    fitted = _intercepts_alone(targets, len(unit_cost))
    path = []
    for strength in ascending:
        fitted = minimise(
            rows.values, targets, penalty.between(unit_cost / strength, targets), fitted
        )
        path.append(rows.recorded(fitted, np.result_type(train_acts.dtype, np.float32)))
    right = [((dev_acts @ weight + bias > 0) == dev_columns).mean(axis=0) for weight, bias in path]
    return [
        _best_on_dev(
            [(weight[:, column], bias[column]) for weight, bias in path],
            ascending,
            tuple(float(accuracy[column]) for accuracy in right),
        )
        for column in range(targets.shape[1])
    ]


def _best_on_dev(
    path: list[tuple[np.ndarray, np.floating]],
    strengths: tuple[float, ...],
    dev_scores: tuple[float, ...],
) -> LinearProbe:
    best = dev_scores.index(max(dev_scores))  # the first: the smallest C
    weight, bias = path[best]
    return LinearProbe(
        weight=np.ascontiguousarray(weight),
        bias=float(bias),
        strength=strengths[best],
        strengths=strengths,
        dev_scores=dev_scores,
        nonzeros=tuple(int(np.count_nonzero(weight)) for weight, _ in path),
    )


@dataclass(frozen=True)
class _StandardRows:
    """Activations with mean 0 and sd 1 for each unit, and a last column of 1."""

    values: Float[Tensor, "n d_and_1"]
    mean: Float[np.ndarray, " d"]
    sd: Float[np.ndarray, " d"]
    """1 for a unit that does not move."""

    @classmethod
    def of(cls, acts: Float[np.ndarray, "n d"]) -> "_StandardRows":
        double = acts.dtype == np.float64 or acts.size <= _SHORT
        dtype = np.float64 if double else np.float32
        mean = acts.mean(axis=0, dtype=np.float64).astype(dtype)
        values = np.ones((acts.shape[0], acts.shape[1] + 1), dtype=dtype)
        units = values[:, :-1]
        np.subtract(acts, mean, out=units)
        sd = np.sqrt(np.square(units).mean(axis=0, dtype=np.float64)).astype(dtype)
        still = sd <= 4 * np.finfo(dtype).eps * np.abs(mean)  # only rounding is left
        units[:, still] = 0
        sd[still] = 1
        units /= sd
        return cls(torch.from_numpy(values), mean, sd)

    def recorded(
        self, fitted: Float[Tensor, "d_and_1 q"], dtype: np.dtype
    ) -> tuple[Float[np.ndarray, "d q"], Float[np.ndarray, " q"]]:
        """(weight, bias) for activations as they were recorded."""
        weight = (fitted[:-1].numpy() / self.sd[:, None]).astype(dtype)
        return weight, (fitted[-1].numpy() - self.mean @ weight).astype(dtype)


def _intercepts_alone(targets: Float[Tensor, "n q"], units: int) -> Float[Tensor, "d_and_1 q"]:
    """Every weight 0, the intercepts at their optimum."""
    fitted = torch.zeros(units + 1, targets.shape[1], dtype=targets.dtype)
    fitted[-1] = torch.logit(targets.mean(dim=0))
    return fitted


def _check_strengths(strengths: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    ascending = tuple(sorted(float(strength) for strength in strengths))
    if not ascending or not 0 < ascending[0] <= ascending[-1] < np.inf:
        raise ValueError(f"The strengths are {ascending}: give at least one, all above 0.")
    return ascending

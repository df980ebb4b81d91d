"""Are predicted probabilities right? Reliability, proper scores and the confusion matrix.

Probabilities are (n,), of class 1 against class 0, or (n, classes), adding up to 1 in each row.
Labels are the numbers of the classes, from 0 on.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int, Int64, Integer

_SUM_TOLERANCE = 1e-3  # of the probabilities of a row: float16 rounds by less

Probabilities = Float[np.ndarray, " n"] | Float[np.ndarray, "n classes"]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often what was predicted with some probability came true, from the least sure on."""

    rows: Int64[np.ndarray, " bins"]
    """Rows in each bin."""
    predicted: Float64[np.ndarray, " bins"]
    """Mean probability in each bin."""
    observed: Float64[np.ndarray, " bins"]
    """Share of the bin's rows for which it came true."""

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean over rows of |observed - predicted| of their bin.

        From 0 to 1. It grows with the number of bins and shrinks with that of rows, and is above
        0 by chance even for probabilities that are right.

        Source: Naeini, Cooper and Hauskrecht 2015, section on calibration measures.
        """
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.rows))

    def table(self) -> pd.DataFrame:
        """A row for each bin: rows, predicted, observed."""
        return pd.DataFrame(
            {"rows": self.rows, "predicted": self.predicted, "observed": self.observed}
        )


def reliability(
    probabilities: Probabilities, labels: Integer[np.ndarray, " n"], *, bins: int = 10
) -> Reliability:
    """Reliability in bins of as many rows each, so that every bin is measured equally well.

    Rows of equal probability share a bin, and a bin that is left without rows is dropped.

    Args:
        probabilities: (n,): the event is class 1. (n, classes): the event is that the most
            probable class, the lowest of equals, is the label (confidence).
        labels: Class of each row.
        bins: Number of bins.

    Raises:
        ValueError: If probabilities or labels are wrong or do not fit, or there is no bin.

    Source: Guo et al. 2017, section 2, for confidence; edges of the bins as scikit-learn's
    `calibration_curve(strategy="quantile")`.
    """
    _check(probabilities, labels)
    if bins < 1:
        raise ValueError(f"The number of bins is {bins}: it must be 1 or more.")
    event, probability = _events(probabilities, labels)
    edges = np.percentile(probability, np.linspace(0, 1, bins + 1) * 100)
    bin_of_row = np.searchsorted(edges[1:-1], probability)
    rows = np.bincount(bin_of_row, minlength=bins)
    filled = rows > 0
    predicted, observed = (
        np.bincount(bin_of_row, weights=values, minlength=bins)[filled] / rows[filled]
        for values in (probability, event)
    )
    return Reliability(rows[filled], predicted, observed)


def brier_score(probabilities: Probabilities, labels: Integer[np.ndarray, " n"]) -> float:
    """Mean squared distance from the probabilities to what came true; lower is better.

    Of two classes it is that of one class, from 0 to 1; of more it is summed over the classes,
    from 0 to 2.

    Raises:
        ValueError: If probabilities or labels are wrong or do not fit.

    Source: Brier 1950; halved for two classes, as scikit-learn's `brier_score_loss`.
    """
    _check(probabilities, labels)
    each = _of_each_class(probabilities)
    squares = np.square(each - np.eye(each.shape[1])[labels]).sum(axis=1)
    return float(squares.mean() / (2 if each.shape[1] == 2 else 1))


def log_loss(probabilities: Probabilities, labels: Integer[np.ndarray, " n"]) -> float:
    """Mean of -log(probability of the label), in nats; lower is better.

    A probability that its type has rounded to 0 or 1 counts as that type's epsilon away from it,
    so that one such row does not make the mean infinite.

    Raises:
        ValueError: If probabilities or labels are wrong or do not fit.

    Source: scikit-learn's `log_loss`.
    """
    _check(probabilities, labels)
    epsilon = np.finfo(probabilities.dtype).eps
    of_label = _of_each_class(probabilities)[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_label, epsilon, 1 - epsilon)).mean())


def confusion_matrix(
    labels: Integer[np.ndarray, " n"], predicted: Integer[np.ndarray, " n"], *, classes: int
) -> Int[np.ndarray, "classes classes"]:
    """How many rows of each class (down) were predicted to be of each class (across).

    Raises:
        ValueError: If there are not as many predictions as labels, or one is no class.
    """
    if len(labels) != len(predicted):
        raise ValueError(
            f"There are {len(labels)} labels and {len(predicted)} predictions: "
            "give one of each a row."
        )
    _check_classes("label", labels, classes)
    _check_classes("prediction", predicted, classes)
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def _events(
    probabilities: Probabilities, labels: Integer[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """(1 where the event came true, its probability)."""
    if probabilities.ndim == 1:
        return (labels == 1).astype(np.float64), probabilities.astype(np.float64)
    came_true = probabilities.argmax(axis=1) == labels
    return came_true.astype(np.float64), probabilities.max(axis=1).astype(np.float64)


def _of_each_class(probabilities: Probabilities) -> Float64[np.ndarray, "n classes"]:
    of_each = probabilities.astype(np.float64)
    return of_each if of_each.ndim == 2 else np.stack([1 - of_each, of_each], axis=1)


def _check(probabilities: np.ndarray, labels: np.ndarray) -> None:
    if len(probabilities) == 0 or len(probabilities) != len(labels):
        raise ValueError(
            f"There are probabilities of {len(probabilities)} rows and {len(labels)} labels: "
            "give one of each for a row, and one row at least."
        )
    wrong = np.argwhere(~((probabilities >= 0) & (probabilities <= 1)))
    if len(wrong):
        place = tuple(wrong[0])
        raise ValueError(
            f"A probability of row {place[0]} is {probabilities[place]}: it must lie between 0 "
            "and 1."
        )
    if probabilities.ndim == 2:
        _check_sums(probabilities)
    classes = probabilities.shape[1] if probabilities.ndim == 2 else 2
    _check_classes("label", labels, classes)


def _check_sums(probabilities: Float[np.ndarray, "n classes"]) -> None:
    sums = probabilities.sum(axis=1, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
    if len(wrong):
        raise ValueError(
            f"The probabilities of row {wrong[0]} add up to {sums[wrong[0]]:g}: they must give 1."
        )


def _check_classes(what: str, labels: np.ndarray, classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise ValueError(
            f"The {what} of row {wrong[0]} is {labels[wrong[0]]}: "
            f"the {classes} classes are 0 to {classes - 1}."
        )

"""How well a score ranks the rows of one class above those of the other."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Integer, Num, Real

from worldscope.measures.labels import check_labels


class RankedRows(NamedTuple):
    """What a ROC area needs of the scores, whatever weights the rows are given later."""

    ones: Int[np.ndarray, " ones"]
    """Row numbers of class 1, from the lowest score to the highest."""
    zeros: Int[np.ndarray, " zeros"]
    """Row numbers of class 0, likewise."""
    below: Int[np.ndarray, " ones"]
    """For each row of class 1, how many of class 0 score lower."""
    up_to: Int[np.ndarray, " ones"]
    """For each row of class 1, how many of class 0 score lower or the same."""


def auroc(
    scores: Real[np.ndarray, " n"],
    labels: Integer[np.ndarray, " n"],
    *,
    weights: Num[np.ndarray, " n"] | None = None,
) -> float:
    """Area under the ROC curve: the chance that a row of class 1 scores above one of class 0.

    A tie counts one half (the Mann-Whitney statistic over the number of pairs). 0.5 is chance,
    below it a higher score means class 0.

    Args:
        scores: Any real number for each row; only their order matters.
        labels: 0 or 1.
        weights: How often each row counts; once where not given.

    Raises:
        ValueError: If a score is NaN, or a class is missing or weighs nothing.
    """
    check_labels(labels, rows=len(scores))
    _check_scores(scores)
    weights = np.ones(len(scores), dtype=np.int64) if weights is None else weights
    ranked = rank_rows(scores, labels)
    weight_of_ones = weights[ranked.ones]
    weight_of_lowest = np.concatenate([[0], np.cumsum(weights[ranked.zeros])])
    pairs = weight_of_lowest[-1] * weight_of_ones.sum()
    if not pairs > 0:
        raise ValueError("The weights of one class add up to 0: both classes must weigh something.")
    beaten_twice = weight_of_lowest[ranked.below] + weight_of_lowest[ranked.up_to]
    wins_twice = weight_of_ones @ beaten_twice
    return float(wins_twice / (2 * pairs))


def rank_rows(scores: Real[np.ndarray, " n"], labels: Integer[np.ndarray, " n"]) -> RankedRows:
    """Put the rows of each class in order of their scores."""
    ones, zeros = (_ascending(scores, np.flatnonzero(labels == label)) for label in (1, 0))
    below = np.searchsorted(scores[zeros], scores[ones], side="left")
    up_to = np.searchsorted(scores[zeros], scores[ones], side="right")
    return RankedRows(ones, zeros, below, up_to)


def _ascending(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(scores[rows], kind="stable")]


def _check_scores(scores: np.ndarray) -> None:
    missing = np.flatnonzero(np.isnan(scores))
    if len(missing):
        raise ValueError(f"The score of row {missing[0]} is NaN: it cannot be ranked.")

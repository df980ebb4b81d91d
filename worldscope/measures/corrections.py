"""From many comparisons to honest ones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Real


@dataclass(frozen=True)
class CorrectedPValues:
    """Which of many null hypotheses are rejected, and by how much."""

    reject: Bool[np.ndarray, " tests"]
    """True where the hypothesis is rejected."""
    adjusted: Float[np.ndarray, " tests"]
    """The smallest q at which it would be rejected."""


def benjamini_hochberg(
    p_values: Real[np.ndarray, " tests"], *, q: float = 0.05
) -> CorrectedPValues:
    """Reject as many hypotheses as keep the expected share of false ones among them under q.

    Raises:
        ValueError: If a p-value is not between 0 and 1.

    Source: Benjamini and Hochberg 1995, section 3.1.
    """
    outside = np.flatnonzero(~((p_values >= 0) & (p_values <= 1)))
    if len(outside):
        raise ValueError(
            f"p-value {outside[0]} is {p_values[outside[0]]}: it must lie between 0 and 1."
        )
    descending = np.argsort(p_values)[::-1]
    rank = np.arange(len(p_values), 0, -1)
    scaled = p_values[descending] * len(p_values) / rank
    adjusted = np.empty(len(p_values))
    adjusted[descending] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return CorrectedPValues(reject=adjusted <= q, adjusted=adjusted)


def permutation_p_value(observed: float, null: Real[np.ndarray, " permutations"]) -> float:
    """Chance that a draw from the null is at least as large as what was observed.

    The observed value counts as one of the draws, so the p-value is never 0.

    Source: Phipson and Smyth 2010, section 4.
    """
    return float((1 + np.count_nonzero(null >= observed)) / (1 + len(null)))

"""95 % percentile bootstrap intervals: groups are resampled, what was fitted is held fixed.

Resampling groups gives each a count of how often it was drawn. A statistic of weighted rows needs
nothing else, so no row is ever copied.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer, Real

from worldscope.measures.groups import group_codes
from worldscope.measures.ranks import auroc, rank_rows

RESAMPLES = 2000
_CELLS = 1 << 21  # of a block of resamples: what is held at once stays in the tens of megabytes


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; the fields are those of a `Measurement`."""

    value: float
    """The statistic of the rows as they are."""
    low: float
    """2.5th percentile over the resamples."""
    high: float
    """97.5th percentile over the resamples."""
    n: int
    """Number of rows."""
    groups: int
    """Number of groups: what was resampled."""


def bootstrap_interval(
    statistic: Callable[[Int[np.ndarray, " n"]], float],
    groups: Iterable[Hashable],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of any statistic of weighted rows.

    Args:
        statistic: Called with how often each row counts, (n,) whole numbers; NaN where those
            rows leave it undefined. Such resamples are left out.
        groups: Group of each row.
        seed: Seed of the resampling.
        resamples: Number of resamples.

    Raises:
        ValueError: If there are fewer than two groups, or no resample defines the statistic.
    """
    codes, names = group_codes(groups)
    draws = _draw_counts(np.ones(len(names), dtype=np.int64), resamples, seed)
    values = [statistic(row) for block in draws for row in block[:, codes]]
    return _interval(statistic(np.ones_like(codes)), np.array(values), codes, names)


def mean_interval(
    scores: Real[np.ndarray, " n"],
    groups: Iterable[Hashable],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of the mean score of the rows. Accuracy is the mean of right (1) and wrong (0).

    Raises:
        ValueError: If there are fewer than two groups, or a score is not finite.
    """
    codes, names = _codes_of_rows(scores, groups)
    sums = np.bincount(codes, weights=scores)
    sizes = np.bincount(codes)
    # Groups of one size and sum are interchangeable: draw how often each kind comes up.
    kinds, copies = np.unique(np.stack([sums, sizes], axis=1), axis=0, return_counts=True)
    totals = np.concatenate([block @ kinds for block in _draw_counts(copies, resamples, seed)])
    return _interval(scores.mean(dtype=np.float64), totals[:, 0] / totals[:, 1], codes, names)


def paired_interval(
    score_a: Real[np.ndarray, " n"],
    score_b: Real[np.ndarray, " n"],
    groups: Iterable[Hashable],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of the mean of a minus the mean of b, both scored on the same rows.

    Raises:
        ValueError: As `mean_interval`.
    """
    difference = score_a.astype(np.float64) - score_b.astype(np.float64)
    return mean_interval(difference, groups, seed=seed, resamples=resamples)


def auroc_interval(
    scores: Real[np.ndarray, " n"],
    labels: Integer[np.ndarray, " n"],
    groups: Iterable[Hashable],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of the area under the ROC curve; resamples that miss a class are left out.

    Raises:
        ValueError: If there are fewer than two groups, a class is missing, or a score is not
            finite.
    """
    codes, names = _codes_of_rows(scores, groups)
    value = auroc(scores, labels)
    ranked = rank_rows(scores, labels)
    draws = _draw_counts(np.ones(len(names), dtype=np.int64), resamples, seed, width=len(codes))
    values = []
    for counts in draws:
        weight_of_lowest = np.zeros((len(counts), len(ranked.zeros) + 1), dtype=np.int64)
        np.cumsum(counts[:, codes[ranked.zeros]], axis=1, out=weight_of_lowest[:, 1:])
        weight_of_ones = counts[:, codes[ranked.ones]]
        beaten_twice = weight_of_lowest[:, ranked.below] + weight_of_lowest[:, ranked.up_to]
        wins_twice = np.einsum("rn, rn -> r", weight_of_ones, beaten_twice)
        pairs = weight_of_lowest[:, -1] * weight_of_ones.sum(axis=1)
        values.append(np.where(pairs > 0, wins_twice / np.maximum(2 * pairs, 1), np.nan))
    return _interval(value, np.concatenate(values), codes, names)


def _codes_of_rows(
    scores: np.ndarray, groups: Iterable[Hashable]
) -> tuple[Int[np.ndarray, " n"], list[Hashable]]:
    codes, names = group_codes(groups)
    if len(codes) != len(scores):
        raise ValueError(
            f"There are {len(scores)} scores and {len(codes)} groups: give one of each a row."
        )
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        raise ValueError(f"The score of row {wrong[0]} is {scores[wrong[0]]}: it must be finite.")
    return codes, names


def _draw_counts(
    copies: Int[np.ndarray, " kinds"], resamples: int, seed: int, *, width: int = 0
) -> Iterator[Int[np.ndarray, "block kinds"]]:
    """How often each kind of group is drawn in each resample, a block of resamples at a time.

    Kind i has copies[i] groups; a resample draws as many groups as there are. `width` is how many
    cells the caller makes for each resample, where that is more than the groups.
    """
    groups = int(copies.sum())
    if groups < 2:
        raise ValueError(f"An interval resamples groups and needs 2 or more: there are {groups}.")
    random = np.random.default_rng(seed)
    block = max(1, _CELLS // max(groups, width))
    few_kinds = 8 * len(copies) < groups  # then a binomial for each is quicker than every draw
    kind_of_group = np.repeat(np.arange(len(copies)), copies)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        if few_kinds:
            yield random.multinomial(groups, copies / groups, size=rows)
        else:
            drawn = kind_of_group[random.integers(groups, size=(rows, groups))]
            cells = drawn + len(copies) * np.arange(rows)[:, None]
            counts = np.bincount(cells.ravel(), minlength=rows * len(copies))
            yield counts.reshape(rows, len(copies))


def _interval(
    value: float, resampled: Float[np.ndarray, " resamples"], codes: np.ndarray, names: list
) -> Interval:
    defined = resampled[~np.isnan(resampled)]
    if len(defined) == 0:
        raise ValueError(
            f"None of {len(resampled)} resamples of {len(names)} groups defines the statistic: "
            "use data with more groups."
        )
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(value), float(low), float(high), len(codes), len(names))

"""What the best of many units reaches by chance.

The labels are permuted over groups and all units ranked again, many times. A ranking needs only
each unit's order of rows, which stays, so that a permutation costs far less than a ranking:

- AUROC: the wins of all permutations are one matrix product of ranks and labels.
- Accuracy: the walk of a ranking (up for a 1, down for a 0) is summed in blocks of rows. Within
  a block it cannot leave the diamond that its ends span, and only blocks whose diamond reaches
  beyond the best unit so far are walked through step by step.
"""

from collections.abc import Hashable, Iterable

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch.nn.functional import embedding_bag

from probes.inputs import check_labelled
from probes.ranking import RankBy
from worldscope.measures import label_permutations

_BLOCK = 64  # rows; counts up to 256 are exact in bfloat16
_COLUMNS = 64  # permutations at a time: one gathered row of labels is two cache lines
_RANKS = 1 << 22  # in one product of ranks and labels


def max_null(
    acts: Float[np.ndarray, "n d"],
    labels: Integer[np.ndarray, " n"],
    groups: Iterable[Hashable],
    *,
    permutations: int = 1000,
    seed: int,
    by: RankBy = "accuracy",
) -> Float[np.ndarray, " permutations"]:
    """The best unit's score under permuted labels: the null of `UnitRanking.best`.

    Args:
        acts: Activation of each unit at each row, finite.
        labels: 0 or 1, both present.
        groups: Group of each row; labels are permuted over groups (`label_permutations`).
        permutations: Number of draws.
        seed: Seed of the permutations.
        by: "accuracy" gives the largest best-threshold accuracy of any unit, "auroc" the largest
            of AUROC and 1 - AUROC, since a unit may point either way.

    Raises:
        ValueError: If an activation is not finite, or labels or groups do not fit.
    """
    check_labelled(acts, labels)
    permuted = label_permutations(
        labels.astype(np.int8), groups, permutations=permutations, seed=seed
    )
    best = {"accuracy": _best_accuracy, "auroc": _best_auroc}[by]
    return best(acts, permuted)


def _best_auroc(
    acts: Float[np.ndarray, "n d"], permuted: Integer[np.ndarray, "n q"]
) -> Float[np.ndarray, " q"]:
    rows, units = acts.shape
    targets = torch.from_numpy(permuted.astype(np.float64))
    ones = int(permuted[:, 0].sum())
    pairs = ones * (rows - ones)
    furthest = np.zeros(permuted.shape[1])
    width = max(1, _RANKS // rows)
    for start in range(0, units, width):
        ranks = np.stack([_mid_ranks(unit) for unit in acts[:, start : start + width].T])
        wins = (torch.from_numpy(ranks) @ targets).numpy() - ones * (ones - 1) / 2
        np.maximum(furthest, np.abs(wins / pairs - 0.5).max(axis=0), out=furthest)
    return 0.5 + furthest


def _mid_ranks(unit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Place of each row in the unit's order, from 0; tied rows share their mean place."""
    order = np.argsort(unit)
    ascending = unit[order]
    starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
    sizes = np.diff(starts, append=len(unit))
    ranks = np.empty(len(unit))
    ranks[order] = np.repeat(starts + (sizes - 1) / 2, sizes)
    return ranks


def _best_accuracy(
    acts: Float[np.ndarray, "n d"], permuted: Integer[np.ndarray, "n q"]
) -> Float[np.ndarray, " q"]:
    starts = range(0, permuted.shape[1], _COLUMNS)
    batches = [_Batch(permuted[:, start : start + _COLUMNS]) for start in starts]
    for unit in acts.T:
        order = _Order(unit)
        for batch in batches:
            batch.admit(order)
    return np.concatenate([batch.right for batch in batches]) / len(acts)


class _Order:
    """The rows in the order of one unit, in blocks."""

    def __init__(self, unit: Float[np.ndarray, " n"]):
        order = np.argsort(unit)
        ascending = unit[order]
        cuts = np.append(ascending[1:] != ascending[:-1], False)
        missing = -len(order) % _BLOCK
        self.rows = torch.from_numpy(order)
        self.block_starts = torch.arange(0, len(order), _BLOCK)
        self.blocks = np.pad(order, (0, missing)).reshape(-1, _BLOCK)
        self.can_cut = np.pad(cuts, (0, missing)).reshape(-1, _BLOCK)
        self.sizes = np.full((len(self.blocks), 1), _BLOCK)
        self.sizes[-1] -= missing


class _Batch:
    """Some permutations of the labels, and how many rows the best unit so far gets right."""

    def __init__(self, labels: Integer[np.ndarray, "n q"]):
        self.labels = np.ascontiguousarray(labels)
        self.summable = torch.from_numpy(self.labels).bfloat16()
        self.ones = int(labels[:, 0].sum())
        self.zeros = len(labels) - self.ones
        self.right = np.full(labels.shape[1], max(self.ones, self.zeros))

    def admit(self, order: _Order) -> None:
        """Let a unit raise what the best one gets right."""
        ones = embedding_bag(order.rows, self.summable, order.block_starts, mode="sum")
        climbs = 2 * ones.int().numpy() - order.sizes
        ends = np.cumsum(climbs, axis=0)
        at_ends = np.where(order.can_cut[:, -1:], ends, 0)
        self.right = np.maximum(self.right, self._right(at_ends, at_ends).max(axis=0))

        middle = ends - climbs / 2  # of the diamond, half a block above and below
        possible = self._right(middle - order.sizes / 2, middle + order.sizes / 2)
        block, column = np.nonzero(possible > self.right)
        steps = 2 * self.labels[order.blocks[block], column[:, None]] - 1
        walk = np.cumsum(steps, axis=1, dtype=np.int64) + (ends - climbs)[block, column, None]
        heights = np.where(order.can_cut[block], walk, 0)
        np.maximum.at(self.right, column, self._right(heights, heights).max(axis=1))

    def _right(self, lowest: np.ndarray, highest: np.ndarray) -> np.ndarray:
        """Rows on the right side of a cut at these heights of the walk, in the better direction."""
        return np.maximum(self.ones - lowest, self.zeros + highest)

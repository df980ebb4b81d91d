"""Binary labels, and the permutations of them that a baseline is trained on."""

from collections.abc import Hashable, Iterable

import numpy as np
from jaxtyping import Int, Integer

from worldscope.measures.groups import group_codes


def check_labels(labels: np.ndarray, *, rows: int) -> None:
    """Accept labels that are 0 or 1, one for each row, with both present.

    Raises:
        ValueError: Otherwise, naming the row that is wrong.
    """
    if labels.shape != (rows,):
        raise ValueError(
            f"There are {rows} rows and labels of shape {labels.shape}: give one label a row."
        )
    wrong = np.flatnonzero((labels != 0) & (labels != 1))
    if len(wrong):
        raise ValueError(
            f"The label of row {wrong[0]} is {labels[wrong[0]]}: labels must be 0 or 1."
        )
    if rows == 0 or labels.min() == labels.max():
        present = f"only {labels[0]}" if rows else "nothing"
        raise ValueError(f"The {rows} labels hold {present}: both 0 and 1 are needed.")


def label_permutations(
    labels: Integer[np.ndarray, " n"],
    groups: Iterable[Hashable],
    *,
    permutations: int,
    seed: int,
) -> Integer[np.ndarray, "n permutations"]:
    """Independent permutations of the labels over groups, one in each column.

    Each group's labels are a block. The blocks are put in random order, the labels within each in
    random order, and the row of blocks is laid over the groups again from the first row on. So
    the counts of 0 and 1 are exact, labels that came in one group stay together, and nothing
    ties a label to its row, its group or its place in the group. In particular:

    - a group for each row: a plain permutation;
    - groups of one size: groups exchange their labels as a whole;
    - groups of several sizes: a block may end in one group and go on in the next. A group of a
      size that no other has therefore does not keep its own labels.

    Args:
        labels: Label of each row.
        groups: Group of each row.
        permutations: Number of columns.
        seed: Column i is the same whatever the number of columns.
    """
    codes, names = group_codes(groups)
    if len(codes) != len(labels):
        raise ValueError(
            f"There are {len(labels)} labels and {len(codes)} groups: give one of each a row."
        )
    laid_over = np.argsort(codes, kind="stable")
    permuted = np.empty((len(labels), permutations), dtype=labels.dtype)
    for column in range(permutations):
        random = np.random.default_rng((seed, column))
        permuted[laid_over, column] = labels[_blocks_in_random_order(codes, len(names), random)]
    return permuted


def _blocks_in_random_order(
    codes: Int[np.ndarray, " n"], groups: int, random: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """Row numbers: groups in random order, the rows of each in random order."""
    place_of_group = random.permutation(groups)
    rows = random.permutation(len(codes))
    return rows[np.argsort(place_of_group[codes[rows]], kind="stable")]

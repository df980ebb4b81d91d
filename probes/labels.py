"""How many labels a probe needs: accuracy against the number of labelled rows.

Source: Radford et al. 2017, figure 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Integer
from tqdm.auto import tqdm

from probes.inputs import check_labelled
from probes.logistic import fit_l1_path

STRENGTHS: tuple[float, ...] = tuple(4.0**power for power in range(-4, 4))
"""C from 1/256 to 64: with few labels only a weak penalty lets any unit in."""


@dataclass(frozen=True)
class LabelPoint:
    """One fit on a few labelled rows."""

    labels: int
    """Number of labelled rows of train, half of them 1."""
    seed: int
    """Which draw of rows."""
    accuracy: float
    """Share of test rows whose label is predicted."""
    strength: float
    """C, chosen on dev."""
    n_nonzero: int
    """Units with a weight."""


def label_curve(
    train_acts: Float[np.ndarray, "n d"],
    train_labels: Integer[np.ndarray, " n"],
    dev_acts: Float[np.ndarray, "m d"],
    dev_labels: Integer[np.ndarray, " m"],
    test_acts: Float[np.ndarray, "t d"],
    test_labels: Integer[np.ndarray, " t"],
    *,
    counts: Sequence[int] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    strengths: Sequence[float] | Float[np.ndarray, " s"] = STRENGTHS,
    standardise: bool = False,
    progress: bool = False,
) -> tuple[LabelPoint, ...]:
    """Test accuracy of L1 probes fitted on few labelled rows, for each count and seed.

    Rows are drawn at random, as many of label 1 as of label 0; with one seed a larger draw holds
    the smaller ones. The strength is chosen on all of dev, whose labels are not counted.

    Args:
        train_acts: Activations that rows are drawn from.
        train_labels: 0 or 1, both present.
        dev_acts: Activations to choose the strength on.
        dev_labels: 0 or 1, both present.
        test_acts: Activations to score.
        test_labels: 0 or 1, both present.
        counts: Even numbers of labelled rows; 2, 4, 8, ... and twice the rarer class, which is
            all that a balanced draw can hold, where not given.
        seeds: One draw of rows for each.
        strengths: As `fit_l1_path`, up to weaker penalties.
        standardise: As `fit_l1_path`.
        progress: Show a progress bar.

    Raises:
        ValueError: As `fit_l1_path`, or if a count is odd, under 2 or above twice the rarer class.
    """
    check_labelled(train_acts, train_labels)
    check_labelled(test_acts, test_labels)
    most = 2 * int(np.bincount(train_labels).min())
    counts = _doublings(most) if counts is None else counts
    for count in counts:
        if count % 2 or not 2 <= count <= most:
            raise ValueError(
                f"The count of labels is {count}: balanced draws need an even one from 2 to {most}."
            )
    points = []
    draws = [(count, seed) for count in counts for seed in seeds]
    for count, seed in tqdm(draws, desc="label curve", disable=not progress):
        rows = _balanced_draw(train_labels, count, seed)
        probe = fit_l1_path(
            train_acts[rows],
            train_labels[rows],
            dev_acts,
            dev_labels,
            strengths=strengths,
            standardise=standardise,
        )
        accuracy = probe.accuracy(test_acts, test_labels)
        points.append(LabelPoint(count, seed, accuracy, probe.strength, probe.n_nonzero))
    return tuple(points)


def _doublings(most: int) -> list[int]:
    return [2**power for power in range(1, most.bit_length()) if 2**power < most] + [most]


def _balanced_draw(
    labels: Integer[np.ndarray, " n"], count: int, seed: int
) -> Int[np.ndarray, " count"]:
    """The first rows of each class in the seed's random order."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return np.concatenate([shuffled[labels[shuffled] == label][: count // 2] for label in (0, 1)])

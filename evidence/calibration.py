"""A judge's threshold, fixed on real text of the length that it will judge, and its accuracy."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from evidence.judges import Judge
from worldscope.measures import Interval, check_labels, mean_interval, split_groups
from worldscope.networks.codecs import clean


@dataclass(frozen=True, eq=False)
class CalibratedJudge:
    """A judge with a threshold, and what it is worth on real text that did not set it."""

    judge: Judge
    threshold: float
    """A text counts as praise if it scores above."""
    length: int
    """Characters that the real texts were cut to."""
    mean_length: float
    """Characters that they had then: fewer where some were shorter."""
    accuracy: Interval
    """Share of real texts judged rightly; resampled over groups."""
    true_positive_rate: float
    """Share of real praise that is judged to be praise."""
    false_positive_rate: float
    """Share of real blame that is judged to be praise."""

    @property
    def name(self) -> str:
        """The judge's name."""
        return self.judge.name

    @property
    def n(self) -> int:
        """Real texts that the accuracy and rates rest on."""
        return self.accuracy.n

    @property
    def separation(self) -> float:
        """Judged share of real praise minus that of real blame: all that this judge can move."""
        return self.true_positive_rate - self.false_positive_rate

    def positive(self, texts: Sequence[str]) -> Bool[np.ndarray, " n"]:
        """Whether each text counts as praise."""
        return self.judge.score(texts) > self.threshold


def calibrate(
    judge: Judge,
    texts: Sequence[str],
    labels: Integer[np.ndarray, " n"],
    groups: Sequence[Hashable],
    *,
    length: int,
    seed: int,
) -> CalibratedJudge:
    """Fixes the threshold on half of the groups and reports the judge on the other half.

    Each text is cut to a random window that begins at a word; one that is shorter stays whole. The
    threshold is the one with the largest true minus false positive rate.

    Args:
        judge: Fitted on other texts.
        texts: Real texts with known labels.
        labels: 1 praises, 0 blames.
        groups: Group of each text.
        length: Characters, as many as the generations have.
        seed: Seed of the windows, of the halves and of the interval.

    Raises:
        ValueError: If labels do not fit, a half holds one class, the length is below 1, or the
            judge does not tell real praise from real blame at this length.
    """
    check_labels(labels, rows=len(texts))
    if length < 1:
        raise ValueError(f"the length is {length} characters; it must be 1 or more")
    random = np.random.default_rng(seed)
    windows = [cut_window(clean(text), length, random) for text in texts]
    halves = split_groups(groups, {"threshold": 0.5, "report": 0.5}, seed=seed)
    for name, rows in halves.items():
        if len(np.unique(labels[rows])) < 2:
            raise ValueError(f"the half for the {name} holds one class only; give more groups")
    scores = judge.score(windows)
    fixed, held_out = halves.values()
    threshold = _best_threshold(judge.name, scores[fixed], labels[fixed])
    judged, truth = scores[held_out] > threshold, labels[held_out]
    right = (judged == truth).astype(np.float64)
    calibrated = CalibratedJudge(
        judge=judge,
        threshold=threshold,
        length=length,
        mean_length=float(np.mean([len(windows[row]) for row in held_out])),
        accuracy=mean_interval(right, [groups[row] for row in held_out], seed=seed),
        true_positive_rate=float(judged[truth == 1].mean()),
        false_positive_rate=float(judged[truth == 0].mean()),
    )
    if not calibrated.separation > 0:
        raise ValueError(
            f"{judge.name} calls {calibrated.true_positive_rate:.0%} of real praise and "
            f"{calibrated.false_positive_rate:.0%} of real blame praise at {length} characters: "
            "use longer generations or another judge"
        )
    return calibrated


def cut_window(text: str, length: int, random: np.random.Generator) -> str:
    """`length` characters of a text from a random word on; all of it if it has no more."""
    if len(text) <= length:
        return text
    starts = [0, *(space.end() for space in re.finditer(r"\s+", text))]
    starts = [start for start in starts if start <= len(text) - length]
    start = starts[random.integers(len(starts))]
    return text[start : start + length]


def _best_threshold(
    name: str, scores: Float[np.ndarray, " n"], labels: Integer[np.ndarray, " n"]
) -> float:
    levels = np.unique(scores)
    if len(levels) < 2:
        raise ValueError(f"{name} gives every text the score {levels[0]:g}; use another judge")
    middles = (levels[:-1] + levels[1:]) / 2
    praise, blame = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    missed = np.searchsorted(praise, middles, side="right") / len(praise)
    spared = np.searchsorted(blame, middles, side="right") / len(blame)
    return float(middles[np.argmax(spared - missed)])

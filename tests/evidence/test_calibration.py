from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from evidence.calibration import CalibratedJudge, calibrate, cut_window
from worldscope.measures import split_groups


class NumberJudge:
    """Reads the score off the text itself."""

    name = "number judge"

    def score(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([float(text) for text in texts])


class LengthJudge:
    """Scores a text by how long it is, keeping what it was given."""

    name = "length judge"

    def __init__(self) -> None:
        self.given: list[str] = []

    def score(self, texts: Sequence[str]) -> np.ndarray:
        self.given = list(texts)
        return np.array([float(len(text)) for text in texts])


def numbers(n: int, seed: int = 0) -> tuple[list[str], np.ndarray, list[int]]:
    """Scores that overlap between the classes, two texts to a group."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size=n)
    texts = [f"{score:.6f}" for score in random.normal(labels * 1.5)]
    return texts, labels, [row // 2 for row in range(n)]


def test_the_threshold_separates_its_half_best_and_is_reported_on_the_other() -> None:
    texts, labels, groups = numbers(400)
    judge = calibrate(NumberJudge(), texts, labels, groups, length=50, seed=4)
    halves = split_groups(groups, {"threshold": 0.5, "report": 0.5}, seed=4)
    scores = np.array([float(text) for text in texts])
    fixed, report = halves["threshold"], halves["report"]

    false, true, _ = roc_curve(labels[fixed], scores[fixed])
    above = scores[fixed] > judge.threshold
    reached = above[labels[fixed] == 1].mean() - above[labels[fixed] == 0].mean()
    assert reached == pytest.approx((true - false).max())

    above = scores[report] > judge.threshold
    assert judge.accuracy.value == pytest.approx(np.mean(above == labels[report]))
    assert judge.accuracy.low < judge.accuracy.value < judge.accuracy.high
    assert judge.true_positive_rate == pytest.approx(above[labels[report] == 1].mean())
    assert judge.false_positive_rate == pytest.approx(above[labels[report] == 0].mean())
    assert judge.separation == judge.true_positive_rate - judge.false_positive_rate
    assert judge.n == len(report)


def test_the_half_that_reports_has_no_say_in_the_threshold() -> None:
    texts, labels, groups = numbers(200)
    report = split_groups(groups, {"threshold": 0.5, "report": 0.5}, seed=0)["report"]
    changed = list(texts)
    for row in report:
        changed[row] = f"{float(texts[row]) + 0.3:.6f}"
    before, after = (
        calibrate(NumberJudge(), given, labels, groups, length=50, seed=0)
        for given in (texts, changed)
    )
    assert before.threshold == after.threshold
    assert before.false_positive_rate < after.false_positive_rate


def test_a_text_at_the_threshold_does_not_count_as_praise() -> None:
    texts, labels, groups = numbers(100)
    judge = calibrate(NumberJudge(), texts, labels, groups, length=50, seed=0)
    at = judge.threshold
    judged = CalibratedJudge.positive(judge, [str(at), str(np.nextafter(at, 9)), str(at - 1)])
    assert judged.tolist() == [False, True, False]


def test_the_judge_is_given_cleaned_windows_of_the_length() -> None:
    judge = LengthJudge()
    texts = ["a bc<br />def " * 10, "a bc"] * 20
    labels = np.array([1, 0] * 20)
    calibrated = calibrate(judge, texts, labels, list(range(40)), length=20, seed=0)
    assert {len(text) for text in judge.given} == {20, 4}
    assert not any("<" in text for text in judge.given)
    assert len(set(judge.given)) > 3, "windows begin at random words"
    assert calibrated.length == 20
    assert 4 < calibrated.mean_length < 20
    assert calibrated.separation == 1.0


@given(st.text(st.sampled_from("ab \t"), max_size=60).map(str.strip), st.integers(1, 40))
def test_a_window_begins_at_a_word_and_has_the_length(text: str, length: int) -> None:
    window = cut_window(text, length, np.random.default_rng(0))
    assert len(window) == min(length, len(text))
    places = [i for i in range(len(text)) if text.startswith(window, i)]
    assert not window or any(i == 0 or text[i - 1].isspace() for i in places)


@pytest.mark.parametrize(
    ("texts", "labels", "length", "message"),
    [
        (["1", "2", "3", "4"], [1, 1, 1, 1], 9, "both 0 and 1 are needed"),
        (["1", "2", "3", "4"], [1, 0, 1, 0], 0, "length is 0 characters"),
        (["1", "1", "1", "1"] * 9, [1, 0, 1, 0] * 9, 9, "gives every text the score 1"),
        (["1", "2"], [1, 0], 9, "holds one class only"),
    ],
)
def test_what_cannot_be_calibrated_says_why(
    texts: list[str], labels: list[int], length: int, message: str
) -> None:
    groups = list(range(len(texts)))
    with pytest.raises(ValueError, match=message):
        calibrate(NumberJudge(), texts, np.array(labels), groups, length=length, seed=0)


def test_a_judge_that_does_not_tell_them_apart_is_refused() -> None:
    texts, labels, groups = numbers(200)
    with pytest.raises(ValueError, match="use longer generations or another judge"):
        calibrate(NumberJudge(), texts, 1 - labels, groups, length=50, seed=0)

"""Calibration against scikit-learn and closed forms."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from worldscope.measures import brier_score, confusion_matrix, log_loss, reliability

BINARY = st.lists(
    st.tuples(st.integers(0, 20).map(lambda x: x / 20), st.integers(0, 1)), min_size=1, max_size=60
)


def softmax(classes: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(classes)
    scores = np.exp(2 * random.standard_normal((rows, classes)))
    return scores / scores.sum(axis=1, keepdims=True), random.integers(classes, size=rows)


@given(rows=BINARY, bins=st.integers(1, 12), dtype=st.sampled_from([np.float32, np.float64]))
def test_reliability_is_scikit_learns_curve_with_ties_and_few_rows(
    rows: list[tuple[float, int]], bins: int, dtype: type
) -> None:
    probabilities, labels = np.array([p for p, _ in rows], dtype), np.array([y for _, y in rows])
    ours = reliability(probabilities, labels, bins=bins)
    observed, predicted = calibration_curve(
        labels, probabilities.astype(np.float64), n_bins=bins, strategy="quantile", pos_label=1
    )
    assert ours.observed == pytest.approx(observed)
    assert ours.predicted == pytest.approx(predicted)
    assert ours.rows.sum() == len(rows)
    assert ours.calibration_error == pytest.approx(
        sum(n * abs(o - p) for n, o, p in zip(ours.rows, observed, predicted, strict=True))
        / len(rows)
    )


def test_bins_hold_as_many_rows_each() -> None:
    probabilities = np.random.default_rng(0).random(1000) ** 4
    table = reliability(probabilities, np.zeros(1000, int), bins=8).table()
    assert table["rows"].tolist() == [125] * 8
    assert list(table) == ["rows", "predicted", "observed"]


def test_right_probabilities_are_calibrated_and_overconfident_ones_are_off_by_their_excess() -> (
    None
):
    random = np.random.default_rng(0)
    right = random.uniform(0.5, 0.9, size=200_000)
    labels = (random.random(len(right)) < right).astype(int)
    assert reliability(right, labels).calibration_error < 0.005
    assert reliability(right + 0.1, labels).calibration_error == pytest.approx(0.1, abs=0.003)


def test_of_several_classes_the_most_probable_one_is_judged() -> None:
    probabilities, labels = softmax(4)
    ours = reliability(probabilities, labels, bins=5)
    right = (probabilities.argmax(axis=1) == labels).astype(int)
    alone = reliability(probabilities.max(axis=1), right, bins=5)
    assert np.array_equal(ours.observed, alone.observed)
    assert np.array_equal(ours.predicted, alone.predicted)


@given(rows=BINARY, dtype=st.sampled_from([np.float32, np.float64]))
def test_binary_scores_are_those_of_scikit_learn(
    rows: list[tuple[float, int]], dtype: type
) -> None:
    probabilities, labels = np.array([p for p, _ in rows], dtype), np.array([y for _, y in rows])
    assert brier_score(probabilities, labels) == pytest.approx(
        metrics.brier_score_loss(labels, probabilities, pos_label=1), rel=1e-5, abs=1e-9
    )
    assert log_loss(probabilities, labels) == pytest.approx(
        metrics.log_loss(labels, probabilities, labels=[0, 1]), rel=1e-5, abs=1e-6
    )


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_scores_of_several_classes_are_those_of_scikit_learn(classes: int) -> None:
    probabilities, labels = softmax(classes)
    names = list(range(classes))
    assert brier_score(probabilities, labels) == pytest.approx(
        metrics.brier_score_loss(labels, probabilities, labels=names)
    )
    assert log_loss(probabilities, labels) == pytest.approx(
        metrics.log_loss(labels, probabilities, labels=names)
    )


def test_two_columns_score_as_one() -> None:
    probabilities, labels = softmax(2)
    assert brier_score(probabilities, labels) == pytest.approx(
        brier_score(probabilities[:, 1], labels)
    )
    assert log_loss(probabilities, labels) == pytest.approx(log_loss(probabilities[:, 1], labels))


@given(
    st.integers(1, 5).flatmap(
        lambda k: st.tuples(
            st.just(k), st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)))
        )
    )
)
def test_the_confusion_matrix_is_scikit_learns(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    classes, rows = drawn
    labels, predicted = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    ours = confusion_matrix(labels, predicted, classes=classes)
    assert ours.shape == (classes, classes)
    brute = [[rows.count((i, j)) for j in range(classes)] for i in range(classes)]
    assert ours.tolist() == brute
    if rows and classes > 1:
        theirs = metrics.confusion_matrix(labels, predicted, labels=range(classes))
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([0.5, 1.5], [0, 1], "A probability of row 1 is 1.5"),
        ([0.5, np.nan], [0, 1], "A probability of row 1 is nan"),
        ([0.5, 0.5], [0, 2], "The label of row 1 is 2: the 2 classes are 0 to 1"),
        ([[0.5, 0.4], [0.5, 0.5]], [0, 1], "of row 0 add up to 0.9"),
        ([[0.2, 0.3, 0.5]], [3], "The label of row 0 is 3: the 3 classes are 0 to 2"),
        ([], [], "one row at least"),
    ],
)
def test_wrong_input_is_named(probabilities: list, labels: list, message: str) -> None:
    for measure in (reliability, brier_score, log_loss):
        with pytest.raises(ValueError, match=message):
            measure(np.array(probabilities, float), np.array(labels, int))


def test_labels_of_another_length_are_named() -> None:
    """Unwrapped, as the shape checker of the tests would speak first."""
    for measure in (reliability, brier_score, log_loss):
        with pytest.raises(ValueError, match="probabilities of 3 rows and 2 labels"):
            inspect.unwrap(measure)(np.array([0.1, 0.2, 0.3]), np.array([0, 1]))


def test_no_bin_and_no_such_class_are_named() -> None:
    labels = np.array([0, 1])
    with pytest.raises(ValueError, match="The number of bins is 0"):
        reliability(np.array([0.1, 0.9]), labels, bins=0)
    with pytest.raises(ValueError, match="The prediction of row 0 is 2: the 2 classes"):
        confusion_matrix(labels, np.array([2, 0]), classes=2)

"""Discriminants against scikit-learn's LDA and nearest centroid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import NearestCentroid

from probes.discriminant import fit_lda, mean_difference
from probes.moments import ClassMoments, class_moments, class_targets, measure_moments

SHRINKAGES = (0.0, 1e-3, 0.3, 1.0)


def problem(classes: int, units: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated units of unequal size; classes of unequal share."""
    random = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), random.integers(classes, size=300) // 2 * 2 % classes]
    labels = np.where(random.random(len(labels)) < 0.3, random.integers(classes), labels)
    labels = np.r_[labels, np.arange(classes).repeat(9)]
    noise = random.normal(size=(len(labels), units)) @ random.normal(size=(units, units))
    acts = noise + random.normal(size=(classes, units))[labels] + 4
    return acts * np.geomspace(1, 100, units), labels


def moments_of(acts: np.ndarray, labels: np.ndarray) -> ClassMoments:
    targets = class_targets(labels, int(labels.max()) + 1)
    return class_moments(measure_moments(acts, targets))


@given(classes=st.integers(2, 5), seed=st.integers(0, 30))
def test_lda_equals_scikit_learn_at_every_shrinkage(classes: int, seed: int) -> None:
    acts, labels = problem(classes, seed=seed)
    found = fit_lda(moments_of(acts, labels), SHRINKAGES)
    scores = 1 if classes == 2 else classes
    assert found.weight.shape == (4, 12, scores)
    assert found.bias.shape == (4, scores)
    for place, shrinkage in enumerate(SHRINKAGES):
        expected = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(acts, labels)
        ours = acts @ found.weight[place].numpy() + found.bias[place].numpy()
        theirs = expected.decision_function(acts).reshape(ours.shape)
        np.testing.assert_allclose(ours, theirs, atol=1e-7 * np.abs(theirs).max())


@given(classes=st.integers(2, 5), seed=st.integers(0, 30))
def test_the_mean_difference_chooses_the_nearest_centroid(classes: int, seed: int) -> None:
    acts, labels = problem(classes, seed=seed)
    found = mean_difference(moments_of(acts, labels))
    scores = acts @ found.weight[0].numpy() + found.bias[0].numpy()
    chosen = scores[:, 0] > 0 if classes == 2 else scores.argmax(axis=1)
    np.testing.assert_array_equal(chosen, NearestCentroid().fit(acts, labels).predict(acts))


def test_the_mean_difference_is_the_difference_of_the_means() -> None:
    acts, labels = problem(2)
    found = mean_difference(moments_of(acts, labels)).weight[0, :, 0]
    difference = acts[labels == 1].mean(axis=0) - acts[labels == 0].mean(axis=0)
    np.testing.assert_allclose(found, difference)


def test_whole_shrinkage_is_the_mean_difference_but_for_its_length() -> None:
    moments = moments_of(*problem(2))
    lda, plain = fit_lda(moments, [1.0]).weight[0, :, 0], mean_difference(moments).weight[0, :, 0]
    np.testing.assert_allclose(lda / lda.norm(), plain / plain.norm(), rtol=1e-9)


def test_units_that_are_copies_or_do_not_move_change_no_decision() -> None:
    acts, labels = problem(3)
    more = np.hstack([acts, acts[:, :1], np.full((len(acts), 1), 0.1)])
    scores = [
        rows @ found.weight[0].numpy() + found.bias[0].numpy()
        for rows in (acts, more)
        for found in [fit_lda(moments_of(rows, labels), [0.0])]
    ]
    differences = [np.diff(score, axis=1) for score in scores]
    np.testing.assert_allclose(differences[0], differences[1], atol=1e-6)


@pytest.mark.parametrize(
    ("shrinkages", "said"),
    [
        ([], "There is no shrinkage"),
        ([0.5, 1.5], "The shrinkage 1.5 is not from 0 to 1"),
        ([float("nan")], "The shrinkage nan is not from 0 to 1"),
    ],
)
def test_shrinkages_that_are_none_are_refused(shrinkages: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_lda(moments_of(*problem(2)), shrinkages)

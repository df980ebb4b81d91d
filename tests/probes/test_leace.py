"""Concept erasure: the theorems of LEACE, and its closed form by square roots."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from probes.leace import fit_leace
from probes.moments import class_targets, measure_moments
from worldscope.features.eraser import Eraser


def problem(classes: int, rows: int = 400, units: int = 8, seed: int = 0):
    """(activations, labels): correlated units whose class means differ strongly."""
    random = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), random.integers(classes, size=rows - classes)]
    mix = random.normal(size=(units, units)) + 2 * np.eye(units)
    acts = random.normal(size=(rows, units)) @ mix
    return acts + 4 * random.normal(size=(classes, units))[labels] + 3, labels


def fit(acts: np.ndarray, targets: torch.Tensor | np.ndarray) -> Eraser:
    moments = measure_moments(acts, targets, double=True)
    return fit_leace(moments, network="n", hook="h", state="s")


def erased(eraser: Eraser, acts: np.ndarray) -> np.ndarray:
    return eraser(torch.from_numpy(acts)).numpy()


def covariance(acts: np.ndarray, targets: torch.Tensor | np.ndarray) -> np.ndarray:
    y = np.asarray(targets, np.float64)
    return (acts - acts.mean(axis=0)).T @ (y - y.mean(axis=0)) / len(acts)


def by_square_roots(acts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """P = W⁺ U U' W, W the inverse square root of the covariance, U spanning W times the cross."""
    values, vectors = np.linalg.eigh(np.cov(acts.T, bias=True))
    kept = values > 1e-10 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    whiten = vectors / np.sqrt(values) @ vectors.T
    colour = vectors * np.sqrt(values) @ vectors.T
    left, sizes, _ = np.linalg.svd(whiten @ covariance(acts, targets), full_matrices=False)
    left = left[:, sizes > 1e-8]
    return colour @ left @ left.T @ whiten


@given(classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_nothing_of_the_concept_is_left_and_its_rank_is_gone(classes: int, seed: int) -> None:
    acts, labels = problem(classes, seed=seed)
    targets = class_targets(labels, classes)
    eraser = fit(acts, targets)
    assert eraser.rank == classes - 1
    assert np.abs(covariance(erased(eraser, acts), targets)).max() < 1e-8
    np.testing.assert_allclose(erased(eraser, acts).mean(axis=0), acts.mean(axis=0), atol=1e-9)


@given(columns=st.integers(1, 4), seed=st.integers(0, 99))
def test_scalar_targets_are_erased_together_and_dependent_ones_once(
    columns: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    acts, _ = problem(2, seed=seed)
    targets = acts[:, :columns] * 30 + random.normal(size=(len(acts), columns))
    twice = np.hstack([targets, 5 * targets[:, :1] + 2])
    eraser = fit(acts, twice)
    assert eraser.rank == columns
    assert np.abs(covariance(erased(eraser, acts), twice)).max() < 1e-8 * np.abs(twice).max()


@given(classes=st.integers(2, 4), seed=st.integers(0, 99))
def test_the_map_is_the_closed_form_by_square_roots(classes: int, seed: int) -> None:
    acts, labels = problem(classes, seed=seed)
    targets = class_targets(labels, classes)
    eraser = fit(acts, targets)
    expected = by_square_roots(acts, targets.numpy())
    np.testing.assert_allclose(eraser.left @ eraser.right, expected, atol=1e-9)


def test_dependent_and_unequal_units_are_mapped_as_by_square_roots() -> None:
    acts, labels = problem(3)
    acts = np.hstack([acts, acts[:, :1], np.full((len(acts), 1), 0.1)])
    acts[:, 1] *= 1000
    targets = class_targets(labels, 3)
    expected = acts - (acts - acts.mean(axis=0)) @ by_square_roots(acts, targets.numpy()).T
    np.testing.assert_allclose(erased(fit(acts, targets), acts), expected, atol=1e-6)


def test_a_linear_probe_finds_nothing_where_it_found_everything() -> None:
    acts, labels = problem(2, rows=1000)
    after = erased(fit(acts, class_targets(labels, 2)), acts)
    shares = np.bincount(labels) / len(labels)
    chance = -(shares * np.log(shares)).sum()
    losses = []
    for rows in (acts, after):
        probe = LogisticRegression(C=1e4, tol=1e-10, max_iter=5000).fit(rows, labels)
        losses.append(np.logaddexp(0, (1 - 2 * labels) * probe.decision_function(rows)).mean())
    assert losses[0] < chance / 2
    assert losses[1] == pytest.approx(chance, abs=1e-7)


@given(seed=st.integers(0, 99), size=st.floats(1e-3, 10))
def test_every_other_map_that_erases_moves_the_activations_more(seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    acts, labels = problem(2, seed=seed)
    targets = class_targets(labels, 2).numpy()
    eraser = fit(acts, targets)
    centred = acts - acts.mean(axis=0)
    projection = (eraser.left @ eraser.right).numpy()
    direction = covariance(acts, targets)
    direction /= np.linalg.norm(direction)
    keeps_erasing = size * random.normal(size=(8, 8)) @ (np.eye(8) - direction @ direction.T)
    for other in (direction @ direction.T, projection + keeps_erasing):
        assert np.abs(covariance(acts - centred @ other.T, targets)).max() < 1e-8
        assert np.linalg.norm(centred @ projection.T) < np.linalg.norm(centred @ other.T)


@given(classes=st.integers(2, 4), seed=st.integers(0, 99))
def test_erasing_twice_is_erasing_once(classes: int, seed: int) -> None:
    acts, labels = problem(classes, seed=seed)
    eraser = fit(acts, class_targets(labels, classes))
    once = erased(eraser, acts)
    np.testing.assert_allclose(erased(eraser, once), once, atol=1e-8)


def test_what_is_erased_already_is_left_as_it_is() -> None:
    acts, labels = problem(3)
    targets = class_targets(labels, 3)
    once = erased(fit(acts, targets), acts)
    again = fit(once, targets)
    assert again.rank == 0
    np.testing.assert_array_equal(erased(again, once), once)


def test_a_target_that_is_the_same_in_every_row_is_refused() -> None:
    acts, labels = problem(2)
    targets = np.stack([labels, np.full(len(labels), 0.1)], axis=1)
    with pytest.raises(ValueError, match="Target 1 is the same in every row"):
        fit(acts, targets)

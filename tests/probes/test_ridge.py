"""Ridge fits against scikit-learn's, on rows as awkward as those of real networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from probes.moments import class_targets, measure_moments
from probes.ridge import RidgeFits, circular_targets, fit_ridge, solve_ridge

STRENGTHS = (1e-2, 1.0, 1e2, 1e4)


def awkward(rows: int = 600, units: int = 40, seed: int = 0) -> np.ndarray:
    """Huge units, a copy, a constant, a small spread far from 0, variances over five decades."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.normal(size=(units, units)))[0]
    acts = (random.normal(size=(rows, units)) * np.geomspace(1, 3e-3, units)) @ basis
    acts[:, 0] *= 3000
    acts[:, 1] *= 500
    acts[:, 2] = acts[:, 3]
    acts[:, 4] = 0.1
    acts[:, 5] += 300
    return acts.astype(np.float32)


def targets_of(acts: np.ndarray, count: int = 3, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    units = StandardScaler().fit_transform(acts.astype(np.float64))
    return units @ random.normal(size=(acts.shape[1], count)) + random.normal(size=count) * 9


def scikit_learn(
    acts: np.ndarray, targets: np.ndarray, strength: float, standardise: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias in float64, for activations as recorded."""
    mean, scale = scaling(acts.astype(np.float64))
    scale = scale if standardise else np.ones(acts.shape[1])
    fitted = Ridge(alpha=strength, solver="svd").fit((acts - mean) / scale, targets)
    weight = fitted.coef_.T / scale[:, None]
    return weight, fitted.intercept_ - mean @ weight


def scaling(acts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of a StandardScaler."""
    scaler = StandardScaler().fit(acts)
    return np.asarray(scaler.mean_), np.asarray(scaler.scale_)


def check_equal(fits: RidgeFits, acts: np.ndarray, targets: np.ndarray, standardise: bool) -> None:
    """Weights in units of standard deviations, since those are what is fitted; and predictions."""
    sd = acts.std(axis=0, dtype=np.float64)[:, None]
    limit = 1e-6 if fits.double else 1e-5
    for place, strength in enumerate(fits.strengths):
        weight, bias = scikit_learn(acts, targets, strength, standardise)
        ours = fits.weight[place].numpy()
        assert np.linalg.norm((ours - weight) * sd) <= limit * np.linalg.norm(weight * sd)
        predicted = acts.astype(np.float64) @ ours + fits.bias[place].numpy()
        expected = acts.astype(np.float64) @ weight + bias
        np.testing.assert_allclose(predicted, expected, atol=limit * targets.std())


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize(("rows", "units"), [(600, 40), (50, 90)])
def test_fits_equal_scikit_learn_on_awkward_rows(rows: int, units: int, standardise: bool) -> None:
    acts = awkward(rows, units)
    targets = targets_of(acts)
    fits = fit_ridge(acts, targets, STRENGTHS, standardise=standardise)
    assert fits.weight.shape == (4, units, 3)
    assert fits.bias.shape == fits.residual.shape == (4, 3)
    assert fits.double
    assert fits.condition > 1e3
    assert fits.residual.max() < 1e-11
    check_equal(fits, acts, targets, standardise)


def test_well_conditioned_rows_are_fitted_in_float32_to_the_same_weights() -> None:
    acts = np.random.default_rng(0).normal(size=(2000, 20)).astype(np.float32)
    targets = targets_of(acts)
    fits = fit_ridge(acts, targets, (1.0, 10.0))
    assert not fits.double
    for place, strength in enumerate(fits.strengths):
        weight, _ = scikit_learn(acts, targets, strength, True)
        assert np.linalg.norm(fits.weight[place].numpy() - weight) < 1e-5 * np.linalg.norm(weight)


def test_float32_would_not_have_been_enough_where_float64_was_chosen() -> None:
    acts = awkward()
    targets = targets_of(acts)
    weight, _ = scikit_learn(acts, targets, 1e-2, True)
    sd = acts.std(axis=0, dtype=np.float64)[:, None]
    hasty = solve_ridge(measure_moments(acts, targets), [1e-2]).weight[0].numpy()
    assert np.linalg.norm((hasty - weight) * sd) > 1e-4 * np.linalg.norm(weight * sd)


def test_real_states_are_fitted_as_scikit_learn_fits_them(shared_data: Path) -> None:
    from worldscope.networks.llama2c import load_llama2c

    folder = shared_data / "stories260k"
    if not folder.is_dir():
        pytest.skip(f"needs real weights: no folder {folder}")
    network = load_llama2c(folder)
    symbols = torch.randint(3, 512, (8, 64), generator=torch.Generator().manual_seed(0))
    _, cache = network.run_with_cache(symbols, names_filter=["blocks.2.hook_out"])
    acts = cache["blocks.2.hook_out"].flatten(0, 1).detach().numpy()
    targets = targets_of(acts, 2)
    check_equal(fit_ridge(acts, targets, STRENGTHS), acts, targets, True)


@given(seed=st.integers(0, 50), strength=st.floats(1e-6, 1e6), standardise=st.booleans())
def test_the_gradient_of_the_objective_is_0(seed: int, strength: float, standardise: bool) -> None:
    random = np.random.default_rng(seed)
    acts = random.normal(size=(40, 6)) * np.geomspace(1, 100, 6) + 5
    target = random.normal(size=(40, 1))
    fits = fit_ridge(acts, target, [strength], standardise=standardise)
    weight, bias = fits.weight[0].numpy(), fits.bias[0].numpy()
    scale = acts.std(axis=0)[:, None] if standardise else np.ones((6, 1))
    left = target - acts @ weight - bias
    slopes = (acts - acts.mean(axis=0)).T @ left / scale - strength * weight * scale
    assert abs(left.sum()) < 1e-9
    size = np.linalg.norm((acts - acts.mean(axis=0)).T @ target / scale)
    assert np.linalg.norm(slopes) < 1e-9 * size


@pytest.mark.parametrize("rows", [60, 12])
def test_strength_0_is_the_shortest_least_squares_fit(rows: int) -> None:
    acts = np.random.default_rng(0).normal(size=(rows, 20))
    acts[:, 3] = acts[:, 4]
    targets = targets_of(acts)
    mean, scale = scaling(acts)
    expected = LinearRegression().fit((acts - mean) / scale, targets)
    fits = fit_ridge(acts, targets, [0.0])
    np.testing.assert_allclose(fits.weight[0].numpy() * scale[:, None], expected.coef_.T, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_signed_classes_give_the_ridge_classifier(classes: int) -> None:
    acts = awkward()
    labels = np.random.default_rng(2).integers(classes, size=len(acts))
    acts[:, 6] += labels
    moments = measure_moments(acts, class_targets(labels, classes), double=True).signed()
    fits = solve_ridge(moments, [3.0], standardise=False)
    expected = RidgeClassifier(alpha=3.0, solver="svd").fit(acts.astype(np.float64), labels)
    sd = acts.std(axis=0, dtype=np.float64)[:, None]
    weight = np.atleast_2d(expected.coef_).T
    error = np.linalg.norm((fits.weight[0].numpy() - weight) * sd)
    assert error < 1e-6 * np.linalg.norm(weight * sd)
    np.testing.assert_allclose(fits.bias[0], expected.intercept_, rtol=1e-5)


def test_an_angle_is_read_by_its_sine_and_cosine() -> None:
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, 500)
    mixed = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ [[2.0, 1.0, 0.5], [0.3, -1.0, 2.0]]
    fits = fit_ridge(mixed + 7, circular_targets(angles), [1e-6])
    sine, cosine = ((mixed + 7) @ fits.weight[0].numpy() + fits.bias[0].numpy()).T
    np.testing.assert_allclose(np.arctan2(sine, cosine), angles, atol=1e-6)


def test_a_constant_target_has_no_weights_and_no_residual() -> None:
    fits = fit_ridge(np.random.default_rng(0).normal(size=(30, 4)), np.full((30, 1), 2.5), [1.0])
    assert not fits.weight.any()
    assert fits.bias.tolist() == [[2.5]]
    assert fits.residual.tolist() == [[0.0]]


@pytest.mark.parametrize("strengths", [[-1.0], [1.0, float("nan")], [float("inf")], []])
def test_strengths_that_are_none_are_refused(strengths: list[float]) -> None:
    said = "is not a finite number of at least 0" if strengths else "There is no strength"
    with pytest.raises(ValueError, match=said):
        fit_ridge(np.ones((3, 2)), np.ones((3, 1)), strengths)

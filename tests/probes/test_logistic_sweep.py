"""A sweep of logistic regressions gives what scikit-learn gives for each fit by itself."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from probes import logistic_sweep
from probes.logistic_sweep import LogisticFits, fit_logistic
from probes.rows import RowsInMemory, sample_rows

STRENGTHS = (1e-3, 1e-1, 10.0)


def drawn(seed: int, n: int = 400, d: int = 6) -> tuple[Tensor, Tensor]:
    """Activations of very different sizes, some units nearly the same; scores of three labels."""
    draw = torch.Generator().manual_seed(seed)
    acts = torch.randn(n, d, generator=draw, dtype=torch.float64)
    acts[:, 1] = acts[:, 0] + 0.05 * acts[:, 1]
    acts = acts * torch.logspace(-2, 2, d, dtype=torch.float64) + 3
    scores = (acts - 3) / acts.std(0) @ torch.randn(d, 3, generator=draw, dtype=torch.float64)
    return acts, scores + torch.randn(n, 3, generator=draw, dtype=torch.float64)


def fitted(acts: Tensor, labels: Tensor, **settings: Any) -> tuple[LogisticFits, Tensor, Tensor]:
    """The fits, their weights and their biases."""
    fits = fit_logistic(acts, labels, strengths=STRENGTHS, **settings)
    return fits, fits.weight, fits.bias


def by_scikit_learn(
    acts: Tensor, labels: Tensor, strength: float, *, standardise: bool = True
) -> LogisticRegression:
    mean, scale = acts.mean(0), acts.std(0, correction=0) if standardise else 1
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=20_000)
    model.fit(((acts - mean) / scale).numpy(), labels.numpy())
    model.coef_ = (torch.tensor(model.coef_) / scale).numpy()
    model.intercept_ = model.intercept_ - model.coef_ @ mean.numpy()
    return model


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_binary_fits_are_those_of_scikit_learn(seed: int, standardise: bool) -> None:
    acts, scores = drawn(seed)
    labels = (scores > 0.5).long()
    fits, weight, bias = fitted(acts, labels, standardise=standardise, tolerance=1e-14)
    assert weight.shape == (3, 3, 1, 6)
    assert fits.converged.all()
    for s, strength in enumerate(STRENGTHS):
        for problem in range(3):
            model = by_scikit_learn(acts, labels[:, problem], strength, standardise=standardise)
            expected = model.decision_function(acts.numpy())
            found = acts @ weight[s, problem, 0] + bias[s, problem]
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("seed", range(2))
def test_multinomial_fits_are_those_of_scikit_learn(seed: int) -> None:
    acts, scores = drawn(seed)
    labels = torch.stack([scores.argmax(1), scores.argmin(1)], dim=1)
    fits, weight, bias = fitted(acts, labels, classes=3, tolerance=1e-14)
    assert weight.shape == (3, 2, 3, 6)
    assert fits.converged.all()
    for s, strength in enumerate(STRENGTHS):
        for problem in range(2):
            model = by_scikit_learn(acts, labels[:, problem], strength)
            found = (acts @ weight[s, problem].T + bias[s, problem]).softmax(1)
            np.testing.assert_allclose(found, model.predict_proba(acts.numpy()), rtol=0, atol=2e-5)
    torch.testing.assert_close(weight.sum(2), torch.zeros(3, 2, 6).double(), rtol=0, atol=1e-9)


@settings(max_examples=20)
@given(seed=st.integers(0, 99))
def test_at_the_minimum_the_gradient_is_nothing(seed: int) -> None:
    """The gradient of scikit-learn's objective, written out."""
    acts, scores = drawn(seed, n=120)
    labels = (scores > 0).long()
    _, weight, bias = fitted(acts, labels, tolerance=1e-16)
    scale = acts.std(0, correction=0)
    for s, strength in enumerate(STRENGTHS):
        wrong = (acts @ weight[s, :, 0].T + bias[s, :, 0]).sigmoid() - labels
        cost = weight[s, :, 0].T * scale.square()[:, None]
        slope = strength * (acts - acts.mean(0)).T @ wrong + cost
        assert (slope / scale[:, None]).abs().max() < 1e-4 * max(1, strength * len(acts) / 100)
        assert wrong.sum(0).abs().max() < 1e-4


def test_the_excess_is_what_is_left_above_the_minimum() -> None:
    acts, scores = drawn(4)
    labels = (scores > 0).long()
    scale = acts.std(0, correction=0)

    def objective(weight: Tensor, bias: Tensor) -> Tensor:
        margins = torch.einsum("nd, skd -> skn", acts, weight[:, :, 0]) + bias
        losses = torch.nn.functional.softplus(margins) - margins * labels.T
        penalty = (weight[:, :, 0] * scale).square().sum(2) / 2
        return losses.mean(2) + penalty / (torch.tensor(STRENGTHS)[:, None] * len(acts))

    _, *best = fitted(acts, labels, tolerance=1e-16)
    fits, *rough = fitted(acts, labels, tolerance=1e-4)
    above = objective(*rough) - objective(*best)
    assert above.min() > -1e-12
    assert above.max() < 5e-4
    assert fits.converged.all()
    assert fits.passes < 20


def test_a_fit_that_is_stopped_early_is_not_called_converged() -> None:
    acts, scores = drawn(5)
    fits, *_ = fitted(acts, (scores > 0).long(), tolerance=1e-14, max_steps=2)
    assert not fits.converged.any()
    assert (fits.excess > 1e-14).all()


def test_float32_is_near_float64() -> None:
    acts, scores = drawn(6, n=3000)
    labels = (scores > 0).long()
    _, weight, bias = fitted(acts, labels, tolerance=1e-12)
    _, weight32, bias32 = fitted(acts.float(), labels)
    exact = torch.einsum("nd, skd -> skn", acts, weight[:, :, 0]) + bias
    found = torch.einsum("nd, skd -> skn", acts, weight32[:, :, 0].double()) + bias32
    assert (exact.sigmoid() - found.sigmoid()).abs().max() < 2e-3


def test_units_that_do_not_move_or_repeat_others_do_no_harm() -> None:
    acts, scores = drawn(7)
    labels = (scores > 0).long()
    more = torch.cat([acts, torch.full((len(acts), 1), 5.0).double(), acts[:, :1]], dim=1)
    _, weight, bias = fitted(more, labels, tolerance=1e-14)
    assert (weight[..., 6] == 0).all()
    torch.testing.assert_close(weight[..., 7], weight[..., 0])
    model = by_scikit_learn(torch.cat([acts, acts[:, :1]], dim=1), labels[:, 0], STRENGTHS[1])
    found = more @ weight[1, 0, 0] + bias[1, 0]
    expected = model.decision_function(torch.cat([acts, acts[:, :1]], dim=1).numpy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4)


def test_more_units_than_rows() -> None:
    draw = torch.Generator().manual_seed(0)
    acts = torch.randn(30, 80, generator=draw, dtype=torch.float64)
    labels = (torch.arange(30)[:, None] % 2).long()
    fits, weight, bias = fitted(acts, labels, tolerance=1e-14)
    assert fits.converged.all()
    model = by_scikit_learn(acts, labels[:, 0], STRENGTHS[1])
    np.testing.assert_allclose(
        acts @ weight[1, 0, 0] + bias[1, 0], model.decision_function(acts.numpy()), atol=1e-4
    )


def test_blocks_and_the_sample_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    acts, scores = drawn(8)
    labels = (scores > 0).long()
    _, weight, _ = fitted(acts, labels, tolerance=1e-14)
    monkeypatch.setattr("probes.rows.BLOCK", 37)
    monkeypatch.setattr(logistic_sweep, "BLOCK", 37)
    monkeypatch.setattr(logistic_sweep, "_SAMPLE", 50)
    fits, other, _ = fitted(acts, labels, tolerance=1e-14)
    assert fits.converged.all()
    torch.testing.assert_close(other, weight, rtol=1e-4, atol=1e-6)


def test_a_sample_of_rows_is_of_different_rows_and_the_same_each_time() -> None:
    rows = RowsInMemory(torch.arange(20.0)[:, None])
    sample = sample_rows(rows, 7)
    assert sample.shape == (7, 1)
    assert len(sample.unique()) == 7
    assert torch.equal(sample, sample_rows(rows, 7))
    assert len(sample_rows(rows, 50)) == 20

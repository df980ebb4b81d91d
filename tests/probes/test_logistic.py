"""Logistic paths against scikit-learn's objective and against the conditions of optimality."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from probes.linear import LinearProbe
from probes.logistic import STRENGTHS, fit_l1_path, fit_l1_path_many, fit_l2_path
from worldscope.measures import label_permutations


def problem(
    rows: int = 400, units: int = 12, seed: int = 0, dtype: type[np.floating] = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Correlated units; a few carry the label."""
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=rows)
    acts = random.normal(size=(rows, units)) @ (
        np.eye(units) + 0.3 * random.normal(size=(units, units))
    )
    acts[:, :3] += labels[:, None] * np.array([1.5, -0.7, 0.3])
    return (acts + 0.5).astype(dtype), labels


def objective(
    probe: LinearProbe | LogisticRegression,
    strength: float,
    acts: np.ndarray,
    labels: np.ndarray,
    penalty: str = "l1",
) -> float:
    weight, bias = weights(probe)
    margins = (2 * labels - 1) * (acts.astype(np.float64) @ weight + bias)
    cost = np.abs(weight).sum() if penalty == "l1" else (weight**2).sum() / 2
    return float(strength * np.logaddexp(0, -margins).sum() + cost)


def weights(probe: LinearProbe | LogisticRegression) -> tuple[np.ndarray, float]:
    if isinstance(probe, LinearProbe):
        return probe.weight.astype(np.float64), probe.bias
    return np.ravel(probe.coef_), float(np.ravel(probe.intercept_)[0])


def scikit_learn(
    acts: np.ndarray, labels: np.ndarray, strength: float, penalty: str
) -> LogisticRegression:
    return LogisticRegression(
        C=strength,
        l1_ratio=1.0 if penalty == "l1" else 0.0,
        solver="saga" if penalty == "l1" else "lbfgs",
        tol=1e-8,
        max_iter=100_000,
        random_state=0,
    ).fit(acts.astype(np.float64), labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("strength", [2.0**-6, 2.0**-3, 1.0])
@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_the_objective_is_the_one_that_scikit_learn_reaches(
    dtype: type[np.floating], strength: float, penalty: str
) -> None:
    acts, labels = problem(dtype=dtype)
    fit = {"l1": fit_l1_path, "l2": fit_l2_path}[penalty]
    ours = fit(acts, labels, acts, labels, strengths=[strength])
    peer = scikit_learn(acts, labels, strength, penalty)
    assert objective(ours, strength, acts, labels, penalty) == pytest.approx(
        objective(peer, strength, acts, labels, penalty), rel=1e-5
    )
    largest = np.abs(np.ravel(peer.coef_)).max()
    assert ours.weight == pytest.approx(np.ravel(peer.coef_), abs=0.02 * largest)


def worst_violation(probe: LinearProbe, acts: np.ndarray, labels: np.ndarray) -> float:
    """How far the L1 objective's subgradient is from 0, relative to the penalty's 1."""
    probability = 1 / (1 + np.exp(-(acts @ probe.weight + probe.bias)))
    gradient = probe.strength * acts.T @ (probability - labels)
    with_weight = np.abs(gradient + np.sign(probe.weight))
    without = np.maximum(np.abs(gradient) - 1, 0)
    return float(np.where(probe.weight != 0, with_weight, without).max())


@pytest.mark.parametrize(("rows", "units"), [(300, 20), (40, 100), (6, 50)])
@pytest.mark.parametrize("strength", [STRENGTHS[0], 2.0**-4, 1.0, 16.0])
def test_units_of_any_scale_and_offset_meet_the_conditions_of_optimality(
    rows: int, units: int, strength: float
) -> None:
    acts, labels = problem(rows, units)
    scales = 10 ** np.linspace(-2, 2, units)
    acts = acts * scales + 3 * scales
    probe = fit_l1_path(acts, labels, acts, labels, strengths=[strength])
    assert worst_violation(probe, acts, labels) < 0.006


def test_a_table_too_long_for_double_precision_is_fitted_as_well_in_single(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acts, labels = problem(600, dtype=np.float32)
    double = fit_l1_path(acts, labels, acts, labels)
    monkeypatch.setattr("probes.logistic._SHORT", 0)
    single = fit_l1_path(acts, labels, acts, labels, strengths=[double.strength])
    assert single.weight.dtype == np.float32
    strength = double.strength
    assert objective(single, strength, acts, labels) == pytest.approx(
        objective(double, strength, acts, labels), rel=1e-5
    )


def test_a_weaker_penalty_lets_more_units_in() -> None:
    acts, labels = problem(units=40)
    counts = [
        fit_l1_path(acts, labels, acts, labels, strengths=[strength]).n_nonzero
        for strength in (1e-5, 2.0**-6, 2.0**-3, 1.0)
    ]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] > counts[1] > 0


@pytest.mark.parametrize("fit", [fit_l1_path, fit_l2_path])
@pytest.mark.parametrize(("scale", "strengths"), [(1.0, (1.0, 2.0**20)), (1e15, (1.0,))])
def test_classes_that_one_unit_separates_are_separated_almost_without_a_penalty(
    fit: Callable[..., LinearProbe], scale: float, strengths: tuple[float, ...]
) -> None:
    acts, labels = problem(100)
    acts[:, 5] = np.where(labels == 1, 10, -10)
    probe = fit(acts * scale, labels, acts * scale, labels, strengths=strengths)
    assert probe.dev_scores == (1.0,) * len(strengths)


def test_without_weights_the_probe_gives_the_share_of_ones() -> None:
    acts, labels = problem()
    labels[:100] = 1
    probe = fit_l1_path(acts, labels, acts, labels, strengths=[1e-6])
    assert 1 / (1 + np.exp(-probe.bias)) == pytest.approx(labels.mean())
    assert probe.accuracy(acts, labels) == pytest.approx(labels.mean())


def test_the_strength_is_the_smallest_of_the_best_on_dev() -> None:
    train, dev = problem(), problem(seed=1)
    shuffled = [1.0, 2.0**-8, 0.25, 0.5]
    probe = fit_l1_path(*train, *dev, strengths=shuffled)
    assert probe.strengths == tuple(sorted(shuffled))
    one_by_one = [
        fit_l1_path(*train, *dev, strengths=[strength]).accuracy(*dev)
        for strength in probe.strengths
    ]
    assert probe.dev_scores == pytest.approx(one_by_one, abs=0.006)
    best = probe.dev_scores.index(max(probe.dev_scores))
    assert probe.strength == probe.strengths[best]
    assert probe.accuracy(*dev) == pytest.approx(max(probe.dev_scores))


def test_of_equally_good_strengths_the_smallest_is_taken() -> None:
    acts = np.repeat([[-1.0], [1.0]], 50, axis=0)
    labels = np.repeat([0, 1], 50)
    assert fit_l1_path(acts, labels, acts, labels, strengths=[1.0, 0.5, 0.25]).strength == 0.25


def test_standardised_fits_do_not_depend_on_the_scale_of_units() -> None:
    acts, labels = problem()
    scales = 10.0 ** np.arange(-6, 6)
    plain, scaled = (
        fit_l1_path(table, labels, table, labels, strengths=[0.1], standardise=True)
        for table in (acts, acts * scales)
    )
    assert scaled.weight * scales == pytest.approx(plain.weight, rel=1e-3, abs=1e-4)
    standard = (acts - acts.mean(axis=0)) / acts.std(axis=0)
    by_hand = fit_l1_path(standard, labels, standard, labels, strengths=[0.1])
    assert plain.weight * acts.std(axis=0) == pytest.approx(by_hand.weight, rel=1e-3, abs=1e-4)


def test_a_unit_that_does_not_move_gets_no_weight() -> None:
    acts, labels = problem(dtype=np.float32)
    acts[:, 4] = 0.1
    for standardise in (False, True):
        probe = fit_l1_path(acts, labels, acts, labels, strengths=[1.0], standardise=standardise)
        assert probe.weight[4] == 0


def test_many_columns_are_fitted_as_if_each_were_alone() -> None:
    train, dev = problem(), problem(seed=1)
    columns = label_permutations(train[1], range(400), permutations=4, seed=0)
    columns[:, 0] = train[1]
    dev_columns = np.tile(dev[1][:, None], 4)
    together = fit_l1_path_many(train[0], columns, dev[0], dev_columns, strengths=[0.1])
    for probe, column in zip(together, columns.T, strict=True):
        alone = fit_l1_path(train[0], column.copy(), *dev, strengths=[0.1])
        assert objective(probe, 0.1, train[0], column) == pytest.approx(
            objective(alone, 0.1, train[0], column), rel=1e-5
        )


def test_a_probe_on_shuffled_labels_is_at_chance() -> None:
    train, dev, test = problem(1000), problem(500, seed=1), problem(1000, seed=2)
    columns = label_permutations(train[1], range(1000), permutations=20, seed=0)
    dev_columns = np.tile(dev[1][:, None], 20)
    probes = fit_l1_path_many(train[0], columns, dev[0], dev_columns)
    shuffled = np.mean([probe.accuracy(*test) for probe in probes])
    assert shuffled == pytest.approx(0.5, abs=0.06)
    assert fit_l1_path(*train, *dev).accuracy(*test) > 0.7


def test_a_fit_does_not_depend_on_chance() -> None:
    acts, labels = problem()
    first, again = (fit_l1_path(acts, labels, acts, labels) for _ in range(2))
    assert (first.weight == again.weight).all()


def test_bad_input_is_refused() -> None:
    acts, labels = problem()
    with pytest.raises(ValueError, match="In dev: The 400 labels hold only 1"):
        fit_l1_path(acts, labels, acts, np.ones_like(labels))
    with pytest.raises(ValueError, match="all above 0"):
        fit_l1_path(acts, labels, acts, labels, strengths=[0.0, 1.0])
    broken = acts.copy()
    broken[7, 3] = np.inf
    with pytest.raises(ValueError, match="In train: The activation of unit 3 at row 7 is inf"):
        fit_l1_path(broken, labels, acts, labels)

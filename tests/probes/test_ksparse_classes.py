"""How few units carry a class, against scikit-learn and on labels whose carriers are known."""

from inspect import unwrap

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from probes.class_ranking import rank_units_by_class
from probes.ksparse_classes import ksparse_class_curve
from probes.logistic import STRENGTHS

Part = tuple[np.ndarray, np.ndarray]


def spread(seed: int, *, rows: int = 400, units: int = 20, signal: float = 3.0) -> Part:
    """Three classes, rare and common; unit 2c and 2c + 1 together tell class c."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, size=rows, p=[0.2, 0.3, 0.5])
    acts = random.normal(size=(rows, units))
    acts[:, :6] += signal / np.sqrt(2) * np.repeat(np.eye(3)[labels], 2, axis=1)
    acts[:, 6] = 0.9 * acts[:, 5] + 0.1 * acts[:, 6]
    sizes = 10.0 ** np.random.default_rng(9).uniform(-2, 3, size=units)
    return (acts * sizes + 5 * sizes).astype(np.float32), labels


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("strength", [STRENGTHS[0], 1.0, 100.0])
def test_a_fit_is_that_of_scikit_learn(k: int, strength: float) -> None:
    train, test = spread(0), spread(2)
    units = rank_units_by_class(*train).order()[:k]
    (point,) = ksparse_class_curve(*train, *spread(1), ks=[k], strengths=[strength])
    scaler = StandardScaler().fit(train[0][:, units].astype(np.float64))
    peer = LogisticRegression(C=strength, solver="newton-cg", tol=1e-10, max_iter=10_000)
    peer.fit(scaler.transform(train[0][:, units].astype(np.float64)), train[1])
    expected = peer.predict_log_proba(scaler.transform(test[0][:, units].astype(np.float64)))
    assert (point.units == units).all()
    assert point.converged == (True,)
    assert point.log_probabilities(test[0]).shape == (400, 3)
    assert point.log_probabilities(test[0]) == pytest.approx(expected, rel=2e-4, abs=2e-4)
    assert point.accuracy(*test) == np.mean(expected.argmax(axis=1) == test[1])


def test_the_objective_has_no_slope_at_any_strength() -> None:
    acts, labels = spread(0)
    units = acts.astype(np.float64)
    deviation = units.std(axis=0)
    for strength in (1e-3, 1.0, 1e3):
        (point,) = ksparse_class_curve(acts, labels, acts, labels, ks=[20], strengths=[strength])
        missed = np.exp(log_softmax(units @ point.weight.T + point.bias, axis=1))
        missed -= np.eye(3)[labels]
        slope = missed.T @ ((units - units.mean(axis=0)) / deviation) / len(units)
        slope += point.weight * deviation / (strength * len(units))
        assert np.abs(slope).max() < 1e-4
        assert np.abs(missed.mean(axis=0)).max() < 1e-4


def test_more_units_are_needed_where_six_share_the_classes() -> None:
    curve = ksparse_class_curve(*spread(0), *spread(1))
    by_k = {point.k: point.accuracy(*spread(2)) for point in curve}
    assert list(by_k) == [1, 2, 4, 8, 16, 20]
    assert by_k[1] < by_k[2] < by_k[4] < by_k[8]
    assert by_k[8] > 0.85
    assert all(all(point.converged) for point in curve)


def test_no_more_than_64_units_are_read_where_no_k_is_given() -> None:
    train, dev = (spread(seed, rows=80, units=80) for seed in (0, 1))
    curve = ksparse_class_curve(*train, *dev, strengths=[0.1])
    assert [point.k for point in curve] == [1, 2, 4, 8, 16, 32, 64]
    assert curve[-1].weight.shape == (3, 80)
    assert set(np.flatnonzero(curve[-1].weight.any(axis=0))) == set(curve[-1].units)


def test_dev_chooses_and_of_equal_strengths_the_smallest() -> None:
    train, dev = spread(0, signal=1.0), spread(1, signal=1.0)
    strengths = [1.0, 1e-6, 0.01]
    (point,) = ksparse_class_curve(*train, *dev, ks=[10], strengths=strengths)
    alone = [
        ksparse_class_curve(*train, *dev, ks=[10], strengths=[one])[0] for one in sorted(strengths)
    ]
    scores = [one.accuracy(*dev) for one in alone]
    assert point.strengths == tuple(sorted(strengths))
    assert point.dev_scores == pytest.approx(scores)
    assert point.strength == sorted(strengths)[scores.index(max(scores))]
    (same,) = ksparse_class_curve(*train, *dev, ks=[10], strengths=[1e-8, 1e-7])
    assert same.dev_scores[0] == same.dev_scores[1]
    assert same.strength == 1e-8


def test_a_fit_that_was_cut_short_is_marked_and_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    train, dev = spread(0), spread(1)
    monkeypatch.setattr("probes.ksparse_classes._MAX_STEPS", 4)
    (point,) = ksparse_class_curve(*train, *dev, ks=[20], strengths=[1e-9, 10.0])
    assert point.converged == (True, False)
    assert point.dev_scores[1] > point.dev_scores[0]
    assert point.strength == 1e-9


def test_a_class_that_dev_lacks_is_no_mistake() -> None:
    acts, labels = spread(1)
    (point,) = ksparse_class_curve(*spread(0), acts[labels < 2], labels[labels < 2], ks=[6])
    assert point.accuracy(acts, labels) > 0.8


def refused(sentence: str, train: Part, dev: Part, **settings: object) -> None:
    with pytest.raises(ValueError, match=sentence):
        unwrap(ksparse_class_curve)(*train, *dev, **settings)  # past the check of types


def test_what_does_not_fit_is_refused_by_name() -> None:
    acts, labels = spread(0, units=7)
    good = acts, labels
    refused("In train: No row has class 1 and some have class 2", (acts, 2 * (labels > 0)), good)
    refused(
        "In dev: The label of row 0 is 3: train has classes 0 to 2", good, (acts, 0 * labels + 3)
    )
    refused("In dev: There are 400 rows and labels of shape", good, (acts, labels[1:]))
    refused("train has 7 units and dev 3", good, (acts[:, :3], labels))
    refused("k is 0: it must be between 1 and the 7 units", good, good, ks=[0])
    refused("The strengths are .*: give at least one, all above 0", good, good, strengths=[])
    infinite = acts.copy()
    infinite[2, 1] = np.inf
    refused("In train: The activation of unit 1 at row 2 is inf", (infinite, labels), good)
    refused("In dev: The activation of unit 1 at row 2 is inf", good, (infinite, labels))


def test_activations_of_another_width_are_refused() -> None:
    (point,) = ksparse_class_curve(*spread(0), *spread(1), ks=[1])
    with pytest.raises(ValueError, match="have 19 units and the probe has 20"):
        point.predict(spread(2)[0][:, 1:])

"""How few units carry a scalar, against scikit-learn and on targets whose carriers are known."""

from inspect import unwrap

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from probes.ksparse_regression import ALPHAS, ksparse_regression_curve
from probes.spearman import rank_units_by_spearman

Part = tuple[np.ndarray, np.ndarray]


def spread(carriers: int, seed: int, units: int = 70) -> Part:
    """Units of very different size and mean; the first few share the target, one does not move."""
    random = np.random.default_rng(seed)
    targets = random.normal(size=300)
    acts = random.normal(size=(300, units))
    acts[:, :carriers] += targets[:, None] / np.sqrt(carriers)
    acts[:, -1] = 0
    sizes = 10.0 ** np.random.default_rng(9).uniform(-2, 3, size=units)
    return (acts * sizes + 5 * sizes).astype(np.float32), targets


def in_double_precision(part: Part) -> Part:
    """The same numbers, in which the peer computes."""
    return part[0].astype(np.float64), part[1]


@pytest.mark.parametrize("k", [1, 3, 8, 70])
def test_every_strength_fits_as_scikit_learn(k: int) -> None:
    train, dev, test = (in_double_precision(spread(4, seed)) for seed in (0, 1, 2))
    units = rank_units_by_spearman(*train).order()[:k]
    by_strength = {}
    for alpha in ALPHAS:
        peer = make_pipeline(StandardScaler(), Ridge(alpha))
        peer.fit(train[0][:, units], train[1])
        by_strength[alpha] = peer
        (point,) = ksparse_regression_curve(*train, *dev, ks=[k], strengths=[alpha])
        expected = peer.predict(test[0][:, units])
        assert (point.units == units).all()
        assert point.predict(test[0]) == pytest.approx(expected, abs=1e-8)
        assert point.score(*test) == pytest.approx(r2_score(test[1], expected))
        assert point.dev_scores == pytest.approx((peer.score(dev[0][:, units], dev[1]),))
    (chosen,) = ksparse_regression_curve(*train, *dev, ks=[k])
    scores = [peer.score(dev[0][:, units], dev[1]) for peer in by_strength.values()]
    assert chosen.strengths == ALPHAS
    assert chosen.dev_scores == pytest.approx(scores)
    assert chosen.strength == ALPHAS[int(np.argmax(scores))]


def test_more_units_are_needed_where_eight_share_the_target() -> None:
    curve = ksparse_regression_curve(*spread(8, 0), *spread(8, 1))
    by_k = {point.k: point.score(*spread(8, 2)) for point in curve}
    assert list(by_k) == [1, 2, 4, 8, 16, 32, 64]
    assert by_k[1] < by_k[2] < by_k[4] < by_k[8]
    assert by_k[8] > by_k[1] + 0.2
    assert by_k[64] < by_k[8] + 0.02


def test_only_the_units_that_are_read_have_weights() -> None:
    for point in ksparse_regression_curve(*spread(4, 0), *spread(4, 1), ks=[3, 1]):
        assert point.weight.shape == (70,)
        assert set(np.flatnonzero(point.weight)) == set(point.units)


def test_a_unit_that_does_not_move_gets_no_weight() -> None:
    train = spread(2, 0, units=3)
    (point,) = ksparse_regression_curve(*train, *spread(2, 1, units=3), ks=[3])
    assert point.units[-1] == 2
    assert point.weight[2] == 0


def test_units_that_repeat_each_other_share_the_weight() -> None:
    acts, targets = spread(1, 0, units=2)
    twice = acts[:, [0, 0]]
    (point,) = ksparse_regression_curve(twice, targets, twice, targets, ks=[2])
    assert point.weight[0] == pytest.approx(point.weight[1], rel=1e-6)


def test_of_equal_scores_the_strongest_penalty_is_chosen() -> None:
    train = spread(1, 0, units=2)
    still = np.zeros((4, 2), dtype=np.float32) + train[0].mean(axis=0)
    (point,) = ksparse_regression_curve(
        *train, still, np.array([0.0, 1.0, 2.0, 3.0]), ks=[1], strengths=[1e-300, 1e-310]
    )
    assert point.dev_scores[0] == point.dev_scores[1]
    assert point.strength == 1e-300


def refused(sentence: str, train: Part, dev: Part, **settings: object) -> None:
    with pytest.raises(ValueError, match=sentence):
        unwrap(ksparse_regression_curve)(*train, *dev, **settings)  # past the check of types


def test_what_does_not_fit_is_refused_by_name() -> None:
    acts, targets = spread(1, 0, units=4)
    good, bad = (acts, targets), targets.copy()
    bad[7] = np.nan
    refused("In train: The target of row 7 is nan", (acts, bad), good)
    refused("In dev: The target of row 7 is nan", good, (acts, bad))
    refused("In dev: The 300 targets hold only 0.0", good, (acts, 0 * targets))
    refused("train has 4 units and dev 3", good, (acts[:, :3], targets))
    refused("k is 5: it must be between 1 and the 4 units", good, good, ks=[1, 5])
    refused("There is no k", good, good, ks=[])
    refused("The strengths are .*: give at least one, all above 0", good, good, strengths=[0.0])
    infinite = acts.copy()
    infinite[2, 1] = np.inf
    refused("In train: The activation of unit 1 at row 2 is inf", (infinite, targets), good)
    refused("In dev: The activation of unit 1 at row 2 is inf", good, (infinite, targets))


def test_activations_of_another_width_are_refused() -> None:
    (point,) = ksparse_regression_curve(*spread(1, 0), *spread(1, 1), ks=[1])
    with pytest.raises(ValueError, match="have 69 units and the probe has 70"):
        point.predict(spread(1, 2)[0][:, 1:])

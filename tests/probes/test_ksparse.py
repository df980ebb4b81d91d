"""How few units carry a label, on labels whose carriers are known."""

import numpy as np
import pytest

from probes.ksparse import ksparse_curve, participation_ratio
from probes.ranking import rank_units


def spread(carriers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sixteen units; the first `carriers` share one unit's worth of evidence."""
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=800)
    acts = random.normal(size=(800, 16))
    acts[:, :carriers] += 3 / np.sqrt(carriers) * labels[:, None]
    return acts, labels


def accuracies(carriers: int) -> dict[int, float]:
    curve = ksparse_curve(*spread(carriers, 0), *spread(carriers, 1))
    return {point.k: point.probe.accuracy(*spread(carriers, 2)) for point in curve}


def test_one_unit_is_enough_where_one_unit_carries_the_label() -> None:
    by_k = accuracies(carriers=1)
    assert list(by_k) == [1, 2, 4, 8, 16]
    assert by_k[1] == pytest.approx(by_k[16], abs=0.01)
    assert by_k[1] > 0.9


def test_more_units_are_needed_where_eight_share_it() -> None:
    by_k = accuracies(carriers=8)
    assert by_k[1] < by_k[2] < by_k[4] < by_k[8]
    assert by_k[8] > by_k[1] + 0.15


def test_the_units_are_the_best_ranked_and_only_they_have_weights() -> None:
    train, dev = spread(4, 0), spread(4, 1)
    for by in ("auroc", "accuracy"):
        order = rank_units(*train).order(by)
        for point in ksparse_curve(*train, *dev, ks=[1, 3], by=by):
            assert (point.units == order[: point.k]).all()
            assert set(np.flatnonzero(point.probe.weight)) == set(point.units)


def test_a_number_of_units_that_there_are_not_is_refused() -> None:
    with pytest.raises(ValueError, match="k is 17: it must be between 1 and the 16 units"):
        ksparse_curve(*spread(1, 0), *spread(1, 1), ks=[1, 17])


@pytest.mark.parametrize("carriers", [1, 3, 10])
def test_the_participation_ratio_counts_units_of_equal_share(carriers: int) -> None:
    sd = np.linspace(0.1, 5, 10)
    weight = np.where(np.arange(10) < carriers, 1 / sd, 0)
    assert participation_ratio(weight, sd) == pytest.approx(carriers)


def test_unequal_shares_count_for_less_than_the_number_of_units() -> None:
    assert participation_ratio(np.array([3.0, 1.0]), np.ones(2)) == pytest.approx(100 / 82)


def test_a_probe_without_weights_has_no_participation_ratio() -> None:
    with pytest.raises(ValueError, match="lies nowhere"):
        participation_ratio(np.array([0.0, 1.0]), np.array([1.0, 0.0]))

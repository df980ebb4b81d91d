"""The permutation is one, and a uniform one, whether it is drawn or computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from worldscope.activations.permutation import Permutation


@given(n=st.integers(1, 3000), seed=st.integers(0, 2**32), kept=st.sampled_from([0, 10_000]))
def test_every_number_occurs_once(n: int, seed: int, kept: int) -> None:
    assert sorted(Permutation(n, seed, kept=kept)(0, n)) == list(range(n))


@given(n=st.integers(2, 500), cut=st.integers(0, 500), kept=st.sampled_from([0, 10_000]))
def test_parts_join_to_the_whole(n: int, cut: int, kept: int) -> None:
    order, cut = Permutation(n, 1, kept=kept), min(cut, n)
    np.testing.assert_array_equal(np.concatenate([order(0, cut), order(cut, n)]), order(0, n))


@pytest.mark.parametrize("kept", [0, 10_000], ids=["computed", "drawn"])
def test_each_number_is_equally_likely_at_each_place(kept: int) -> None:
    n, cells, draws = 1000, 10, 2000
    counts = np.zeros((cells, cells))
    for seed in range(draws):
        order = Permutation(n, seed, kept=kept)(0, n)
        counts += np.histogram2d(np.arange(n), order, bins=cells, range=[[0, n], [0, n]])[0]
    expected = draws * n / cells**2
    # Each permutation has fixed margins: what varies has (cells − 1)² degrees of freedom, and a
    # hypergeometric variance, which is n / (n − 1) times that of the chi-square statistic.
    statistic = ((counts - expected) ** 2 / expected).sum() * (n - 1) / n
    assert 0.001 < chi2.sf(statistic, (cells - 1) ** 2) < 0.999


@pytest.mark.parametrize("kept", [0, 10_000], ids=["computed", "drawn"])
def test_neighbours_in_the_store_are_not_neighbours_in_the_order(kept: int) -> None:
    order = Permutation(5000, 3, kept=kept)(0, 5000)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 4 / 5000**0.5
    assert (np.abs(np.diff(order)) == 1).sum() < 15  # two are expected


def test_another_seed_gives_another_permutation() -> None:
    for kept in (0, 10_000):
        first, second = (Permutation(100, seed, kept=kept)(0, 100) for seed in (0, 1))
        assert (first != second).sum() > 80

"""Rank correlations of all units against scipy, and what they do not depend on."""

import warnings
from inspect import unwrap
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata, spearmanr

from probes.spearman import centred_ranks, rank_units_by_spearman


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Small whole numbers, so that many are tied, and targets that are not all the same."""
    rows = draw(st.integers(2, 20))
    whole = st.integers(-5, 5)
    acts = draw(hnp.arrays(np.float32, (rows, draw(st.integers(1, 5))), elements=whole.map(float)))
    free = draw(st.lists(whole, min_size=rows - 2, max_size=rows - 2))
    return acts, np.array(draw(st.permutations([0, 1, *free])))


def by_scipy(acts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Scipy says NaN, with a warning, of a unit that does not move."""
    with warnings.catch_warnings(action="ignore"):
        return np.nan_to_num([spearmanr(unit, targets)[0] for unit in acts.T])


@given(tables())
def test_tied_units_have_the_correlation_of_scipy(table: tuple[np.ndarray, np.ndarray]) -> None:
    assert rank_units_by_spearman(*table).correlation == pytest.approx(by_scipy(*table), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_many_rows_have_the_correlation_of_scipy(dtype: type[np.floating]) -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=900)
    acts = random.normal(size=(900, 40)) + np.linspace(-2, 2, 40) * targets[:, None]
    acts[:, ::3] = acts[:, ::3].round()
    acts = acts.astype(dtype)
    found = rank_units_by_spearman(acts, targets).correlation
    assert found.shape == (40,)
    assert found.dtype == np.float64
    assert found == pytest.approx(by_scipy(acts, targets), abs=1e-12)


@given(tables(), st.randoms())
def test_only_the_order_of_activations_and_targets_counts(
    table: tuple[np.ndarray, np.ndarray], random: Random
) -> None:
    acts, targets = table
    expected = rank_units_by_spearman(acts, targets).correlation
    assert (rank_units_by_spearman(np.exp(acts), targets**3).correlation == expected).all()
    assert (rank_units_by_spearman(-acts, targets).correlation == -expected).all()
    units = random.sample(range(acts.shape[1]), acts.shape[1])
    assert (rank_units_by_spearman(acts[:, units], targets).correlation == expected[units]).all()


@given(tables())
def test_ranks_are_those_of_scipy_about_their_mean(table: tuple[np.ndarray, np.ndarray]) -> None:
    values = table[0].T
    expected = rankdata(values, axis=1) - (values.shape[1] + 1) / 2
    assert (centred_ranks(values) == expected).all()


def test_the_order_is_by_strength_and_ties_go_to_the_lower_unit() -> None:
    rising, weak = np.arange(4.0), np.array([0.0, 2.0, 1.0, 3.0])
    ranking = rank_units_by_spearman(
        np.stack([np.ones(4), weak, -rising, rising], axis=1), np.array([1, 5, 6, 9])
    )
    assert ranking.correlation == pytest.approx([0, 0.8, -1, 1])
    assert ranking.order().tolist() == [2, 3, 1, 0]
    assert ranking.best() == 2
    table = ranking.table(2)
    assert table["unit"].tolist() == [2, 3]
    assert table["correlation"].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ([1.0, 2.0], r"3 rows and targets of shape \(2,\): give one target a row"),
        ([1.0, np.nan, 2.0], "target of row 1 is nan: every target must be finite"),
        ([4.0, 4.0, 4.0], r"3 targets hold only 4.0: two different ones are needed"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: list[float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        unwrap(rank_units_by_spearman)(
            np.zeros((3, 2)), np.array(targets)
        )  # past the check of types


def test_an_activation_that_is_not_finite_is_refused() -> None:
    acts = np.zeros((3, 2))
    acts[2, 1] = np.inf
    with pytest.raises(ValueError, match="unit 1 at row 2 is inf"):
        rank_units_by_spearman(acts, np.arange(3))

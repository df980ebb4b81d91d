"""All units at once against scikit-learn, and against every threshold tried one by one."""

from inspect import unwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from probes.ranking import RankBy, UnitRanking, rank_units

# Ties, both zeros, neighbouring floats, and values too far apart for one exponent range.
AWKWARD = [0.0, -0.0, 1.0, 1.0000001, -1.0, 3e38, -3e38, 1e-45, 1e-38, -1e-30, 0.1]


def best_accuracy_by_trying(column: np.ndarray, labels: np.ndarray) -> float:
    """Every cut between distinct values, in both directions, and none."""
    cuts = [-np.inf, *np.unique(column)]
    return max(
        max(np.mean((column > cut) == labels), np.mean((column <= cut) == labels)) for cut in cuts
    )


@st.composite
def tables(draw: st.DrawFn, dtype: type[np.floating]) -> tuple[np.ndarray, np.ndarray]:
    rows = draw(st.integers(2, 20))
    finite = st.floats(
        width=32 if dtype is np.float32 else 64, allow_nan=False, allow_infinity=False
    )
    values = finite | st.sampled_from([float(np.float32(value)) for value in AWKWARD])
    acts = draw(hnp.arrays(dtype, (rows, draw(st.integers(1, 4))), elements=values))
    free = draw(st.lists(st.integers(0, 1), min_size=rows - 2, max_size=rows - 2))
    return acts, np.array(draw(st.permutations([0, 1, *free])))


def assert_exact(acts: np.ndarray, labels: np.ndarray) -> UnitRanking:
    ranking = rank_units(acts, labels)
    for unit, column in enumerate(acts.T):
        expected = best_accuracy_by_trying(column, labels)
        assert ranking.accuracy[unit] == expected
        assert np.mean(ranking.predict(column, unit) == labels) == expected
        places = np.unique(column, return_inverse=True)[1]  # the peer subtracts, and overflows
        assert ranking.auroc[unit] == pytest.approx(roc_auc_score(labels, places), abs=1e-12)
    return ranking


@given(tables(np.float32))
def test_float32_units_are_ranked_exactly(table: tuple[np.ndarray, np.ndarray]) -> None:
    assert_exact(*table)


@given(tables(np.float64))
def test_float64_units_are_ranked_exactly(table: tuple[np.ndarray, np.ndarray]) -> None:
    assert_exact(*table)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [3, 50, 10**9])
def test_many_rows_with_few_and_many_ties_are_ranked_exactly(
    dtype: type[np.floating], levels: int
) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(2, size=700)
    acts = random.integers(-levels, levels, size=(700, 12)) / levels + 0.1 * labels[:, None]
    assert_exact(acts.astype(dtype), labels)


def test_more_units_than_fit_in_a_block_are_ranked_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    acts, labels = random.normal(size=(50, 11)), random.integers(2, size=50)
    whole = rank_units(acts, labels)
    monkeypatch.setattr("probes.unit_blocks._CELLS", 150)
    in_blocks = rank_units(acts, labels)
    for name in ("auroc", "accuracy", "threshold", "sign"):
        assert (getattr(whole, name) == getattr(in_blocks, name)).all()


def test_values_that_differ_in_their_last_bit_are_told_apart() -> None:
    low = np.float32(0.3)
    column = np.array([low, np.nextafter(low, np.float32(1))], dtype=np.float32)
    ranking = assert_exact(column[:, None], np.array([0, 1]))
    assert ranking.auroc[0] == ranking.accuracy[0] == 1.0


def test_the_threshold_lies_midway_between_neighbours() -> None:
    column = np.array([1.0, 2.0, 5.0, 7.0])
    ranking = rank_units(np.stack([column, -column], axis=1), np.array([0, 0, 1, 1]))
    assert ranking.threshold.tolist() == [3.5, -3.5]
    assert ranking.sign.tolist() == [1, -1]
    assert ranking.auroc.tolist() == [1.0, 0.0]


def test_a_unit_that_does_not_move_gives_every_row_the_commoner_label() -> None:
    ranking = rank_units(np.zeros((5, 1)), np.array([0, 0, 0, 1, 1]))
    assert ranking.accuracy[0] == 0.6
    assert ranking.auroc[0] == 0.5
    assert ranking.threshold[0] == np.inf
    assert ranking.predict(np.array([7.0, -7.0]), 0).tolist() == [0, 0]


@pytest.mark.parametrize("common", [0, 1])
@pytest.mark.parametrize("rising", [True, False])
def test_where_no_cut_helps_the_sign_is_that_of_the_auroc(common: int, rising: bool) -> None:
    rare = 1 - common
    labels = np.array([common, common, common, rare, common, common])
    column = np.arange(6.0) if rising == (rare == 1) else -np.arange(6.0)
    ranking = rank_units(column[:, None], labels)
    assert (ranking.auroc[0] > 0.5) == rising
    assert ranking.sign[0] == (1 if rising else -1)
    assert ranking.threshold[0] == (-np.inf if rising == (common == 1) else np.inf)
    assert ranking.predict(column, 0).tolist() == [common] * 6


def planted() -> tuple[np.ndarray, np.ndarray]:
    """Unit 17 falls with the label, among noise."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=2000)
    acts = random.normal(size=(2000, 40)).astype(np.float32)
    acts[:, 17] -= 2 * labels
    return acts, labels


@pytest.mark.parametrize("by", ["accuracy", "auroc"])
def test_a_planted_unit_is_found(by: RankBy) -> None:
    ranking = rank_units(*planted())
    assert ranking.best(by) == ranking.order(by)[0] == 17
    assert ranking.sign[17] == -1
    assert 0.8 < ranking.accuracy[17] < 0.9


def test_the_order_puts_better_units_first_and_breaks_ties_by_number() -> None:
    column = np.array([0.0, 1.0, 2.0, 3.0])
    noise = np.array([0.0, 1.0, 0.0, 1.0])
    acts = np.stack([noise, column, -column, noise], axis=1)
    ranking = rank_units(acts, np.array([0, 0, 1, 1]))
    assert ranking.order("accuracy").tolist() == ranking.order("auroc").tolist() == [1, 2, 0, 3]


def test_the_table_lists_the_best_units() -> None:
    ranking = rank_units(*planted())
    table = ranking.table(3)
    assert list(table.columns) == ["unit", "accuracy", "auroc", "threshold", "sign"]
    assert len(table) == 3
    assert table["unit"].tolist()[0] == 17
    assert bool(table["accuracy"].is_monotonic_decreasing)
    assert table["threshold"].tolist()[0] == ranking.threshold[17]


def test_bad_input_is_refused() -> None:
    acts = np.zeros((3, 2))
    with pytest.raises(ValueError, match="only 1: both 0 and 1 are needed"):
        rank_units(acts, np.array([1, 1, 1]))
    acts[2, 1] = np.nan
    with pytest.raises(ValueError, match="unit 1 at row 2 is nan"):
        rank_units(acts, np.array([0, 1, 1]))


@pytest.mark.parametrize("unit", [-1, 2])
def test_there_is_no_prediction_by_a_unit_that_is_not_there(unit: int) -> None:
    ranking = rank_units(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]))
    with pytest.raises(LookupError, match=f"there is no unit {unit}: they are 0 to 1"):
        ranking.predict(np.zeros(3), unit)


def test_units_are_ranked_by_what_there_is() -> None:
    ranking = rank_units(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]))
    with pytest.raises(LookupError, match="not ranked by 'auc'; choose accuracy or auroc"):
        unwrap(UnitRanking.order)(ranking, "auc")  # past the check of types that tests add

"""Splits, permutations, intervals and corrections against closed forms and brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from worldscope.measures import (
    Measurement,
    auroc,
    auroc_interval,
    benjamini_hochberg,
    bootstrap_interval,
    check_labels,
    group_codes,
    label_permutations,
    mean_interval,
    measurements_table,
    paired_interval,
    permutation_p_value,
    split_groups,
)

# --- the table


def test_a_table_has_a_row_for_each_measurement_and_blanks_where_nothing_applies() -> None:
    full = Measurement(
        question="is sentiment decodable?",
        method="best unit",
        metric="accuracy",
        value=0.9,
        low=0.88,
        high=0.92,
        n=1000,
        groups=50,
        seed=3,
    )
    bare = Measurement(question="does it learn?", method="training", metric="loss", value=1.5)
    table = measurements_table([full, bare])

    assert list(table.columns[:4]) == ["question", "network", "data", "split"]
    assert list(table["value"]) == [0.9, 1.5]
    assert table["n"].tolist()[0] == 1000
    assert table[["low", "high", "n", "groups", "seed"]].isna().to_numpy().tolist() == [
        [False] * 5,
        [True] * 5,
    ]
    assert list(table["note"]) == ["", ""]


def test_column_types_do_not_depend_on_the_rows() -> None:
    rows = [Measurement(question="q", method="m", metric="x", value=1.0)]
    assert (measurements_table([]).dtypes == measurements_table(rows).dtypes).all()


def test_an_interval_that_is_upside_down_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0.9 down to 0.8"):
        Measurement(question="q", method="m", metric="x", value=0.85, low=0.9, high=0.8)


# --- groups and splits


@given(
    groups=st.lists(st.integers(0, 30), min_size=1, max_size=80),
    fractions=st.lists(st.floats(0.01, 1), min_size=1, max_size=4),
    seed=st.integers(0, 5),
)
def test_a_split_holds_every_row_once_and_keeps_groups_whole(
    groups: list[int], fractions: list[float], seed: int
) -> None:
    shares = {f"part {i}": share / sum(fractions) for i, share in enumerate(fractions)}
    if len(set(groups)) < len(fractions):
        with pytest.raises(ValueError, match="cannot fill"):
            split_groups(groups, shares, seed=seed)
        return
    parts = split_groups(groups, shares, seed=seed)

    assert list(parts) == list(shares)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(groups)))
    groups_of = [{groups[row] for row in rows} for rows in parts.values()]
    assert all(groups_of)
    assert sum(len(part) for part in groups_of) == len(set(groups))


def test_parts_have_the_shares_of_groups_that_were_asked_for() -> None:
    groups = [f"film {i}" for i in range(1000)]
    parts = split_groups(groups, {"train": 0.7, "dev": 0.1, "test": 0.2}, seed=0)
    assert [len(rows) for rows in parts.values()] == [700, 100, 200]


def test_a_split_depends_on_names_and_seed_and_not_on_the_order_of_rows() -> None:
    groups = np.array([f"film {i % 20}" for i in range(100)])
    shuffled = np.random.default_rng(1).permutation(groups)
    halves = {"a": 0.5, "b": 0.5}
    films = [set(g[split_groups(g, halves, seed=0)["a"]]) for g in (groups, shuffled)]
    other_seed = set(groups[split_groups(groups, halves, seed=1)["a"]])
    assert films[0] == films[1] != other_seed


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"a": 0.5, "b": 0.4}, "add up to 0.9"),
        ({"a": 1.0, "b": 0.0}, "'b' has the fraction 0"),
        ({"a": 0.2, "b": 0.3, "c": 0.5}, "2 groups cannot fill 3 parts"),
    ],
)
def test_an_impossible_split_is_refused(fractions: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_groups(["x", "y", "x"], fractions, seed=0)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_row_without_a_group_is_named(missing: object) -> None:
    with pytest.raises(ValueError, match="Row 2 has no group"):
        group_codes(["a", "b", missing])


# --- permuted labels


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    data=st.data(),
)
def test_permuted_labels_keep_their_counts(sizes: list[int], data: st.DataObject) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.array(
        data.draw(st.lists(st.integers(0, 1), min_size=len(groups), max_size=len(groups)))
    )
    permuted = label_permutations(labels, groups, permutations=3, seed=0)
    assert (permuted.sum(axis=0) == labels.sum()).all()


def test_groups_of_one_size_exchange_their_labels_as_a_whole() -> None:
    random = np.random.default_rng(0)
    groups = random.permutation(np.repeat(np.arange(40), 5))
    label_of_group = random.integers(2, size=40)
    permuted = label_permutations(label_of_group[groups], groups, permutations=1, seed=0)[:, 0]
    means = np.array([permuted[groups == group].mean() for group in range(40)])
    assert set(means) == {0.0, 1.0}
    assert (means != label_of_group).any()


def test_with_a_group_for_each_row_every_arrangement_is_equally_likely() -> None:
    permuted = label_permutations(np.array([1, 0, 0, 0]), range(4), permutations=4000, seed=0)
    assert stats.chisquare(permuted.sum(axis=1)).pvalue > 0.001


def test_a_group_of_a_size_that_no_other_has_does_not_keep_its_labels() -> None:
    groups = np.repeat([0, 1], [30, 10])
    labels = (groups == 0).astype(np.int64)
    permuted = label_permutations(labels, groups, permutations=200, seed=0)
    assert 0.3 < (permuted[:10] == 0).all(axis=0).mean() < 0.7


def test_a_label_that_follows_from_the_place_in_the_group_is_broken_too() -> None:
    place = np.tile(np.arange(10), 300)
    labels = (place >= 5).astype(np.int64)
    groups = np.repeat(np.arange(300), 10)
    permuted = label_permutations(labels, groups, permutations=1, seed=0)[:, 0]
    assert abs(np.corrcoef(place, permuted)[0, 1]) < 0.06


def test_a_column_of_permuted_labels_does_not_depend_on_how_many_are_asked_for() -> None:
    labels = np.arange(20) % 2
    few, many = (
        label_permutations(labels, range(20), permutations=number, seed=4) for number in (2, 5)
    )
    assert (few == many[:, :2]).all()
    assert (few[:, 0] != few[:, 1]).any()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], "row 2 is 2"),
        ([0, 0, 0], "only 0"),
        ([0, 1], r"3 rows and labels of shape \(2,\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_labels(np.array(labels), rows=3)


# --- area under the ROC curve


@given(st.data())
def test_auroc_is_the_share_of_pairs_won_with_ties_as_half(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 30))
    labels = np.array(
        [0, 1, *data.draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))]
    )
    scores = np.array(data.draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)))
    pairs = list(product(scores[labels == 1], scores[labels == 0]))
    assert auroc(scores, labels) == pytest.approx(
        np.mean([(one > zero) + (one == zero) / 2 for one, zero in pairs]), abs=1e-12
    )


def test_auroc_with_weights_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(20, size=300) / 7
    labels = random.integers(2, size=300)
    weights = random.integers(4, size=300)
    assert auroc(scores, labels, weights=weights) == pytest.approx(
        roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12
    )


def test_auroc_refuses_what_it_cannot_rank() -> None:
    with pytest.raises(ValueError, match="score of row 1 is NaN"):
        auroc(np.array([0.5, np.nan]), np.array([0, 1]))
    with pytest.raises(ValueError, match="weights of one class add up to 0"):
        auroc(np.array([0.5, 0.1]), np.array([0, 1]), weights=np.array([1, 0]))


# --- intervals


@pytest.mark.parametrize("rate", [0.5, 0.9])
def test_the_interval_of_independent_successes_is_the_binomial_one(rate: float) -> None:
    n = 1000
    right = np.arange(n) < rate * n
    interval = mean_interval(right.astype(np.float64), range(n), seed=0)
    low, high = stats.binom.ppf([0.025, 0.975], n, rate) / n
    assert interval.value == pytest.approx(rate)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.004)
    assert (interval.n, interval.groups) == (n, n)


def clustered_scores(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """40 groups of unlike sizes whose rows share a shift; the true mean is 0."""
    groups = np.repeat(np.arange(40), random.integers(1, 20, size=40))
    shift = random.normal(size=40)
    return shift[groups] + 0.3 * random.normal(size=len(groups)), groups


def share_that_covers_zero(resample_groups: bool) -> float:
    random = np.random.default_rng(0)
    covered = []
    for seed in range(200):
        scores, groups = clustered_scores(random)
        unit = groups if resample_groups else np.arange(len(scores))
        interval = mean_interval(scores, unit, seed=seed, resamples=300)
        covered.append(interval.low <= 0 <= interval.high)
    return float(np.mean(covered))


def test_an_interval_over_groups_covers_the_truth_as_often_as_it_says() -> None:
    assert 0.89 < share_that_covers_zero(resample_groups=True) < 0.99


def test_an_interval_over_rows_that_share_a_group_would_not() -> None:
    assert share_that_covers_zero(resample_groups=False) < 0.7


@pytest.mark.parametrize("scores_are_whole", [True, False])
def test_the_quick_interval_of_a_mean_agrees_with_that_of_weighted_rows(
    scores_are_whole: bool,
) -> None:
    scores, groups = clustered_scores(np.random.default_rng(1))
    scores = (scores > 0).astype(np.float64) if scores_are_whole else scores
    quick = mean_interval(scores, groups, seed=0, resamples=20_000)
    slow = bootstrap_interval(
        lambda weights: weights @ scores / weights.sum(), groups, seed=1, resamples=20_000
    )
    width = slow.high - slow.low
    assert quick.value == pytest.approx(slow.value)
    assert (quick.low, quick.high) == pytest.approx((slow.low, slow.high), abs=0.03 * width)


def test_a_paired_interval_is_free_of_what_both_scores_share() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(size=500)
    a = shared + 0.1 + 0.01 * random.normal(size=500)
    paired = paired_interval(a, shared, range(500), seed=0)
    assert 0.09 < paired.low < 0.1 < paired.high < 0.11
    assert mean_interval(a, range(500), seed=0).low < 0.05


def test_the_interval_of_auroc_is_the_bootstrap_of_weighted_auroc() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), random.integers(1, 5, size=30))
    labels = random.integers(2, size=len(groups))
    scores = (labels + random.normal(size=len(groups))).round(1)
    quick = auroc_interval(scores, labels, groups, seed=0, resamples=200)
    slow = bootstrap_interval(
        lambda weights: auroc(scores, labels, weights=weights), groups, seed=0, resamples=200
    )
    assert quick == slow


def test_resamples_that_miss_a_class_are_left_out() -> None:
    labels = np.array([1, 0, 0, 0])
    interval = auroc_interval(np.array([4.0, 1.0, 2.0, 3.0]), labels, range(4), seed=0)
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_an_interval_is_the_same_for_the_same_seed_only() -> None:
    scores, groups = clustered_scores(np.random.default_rng(0))
    first, again, other = (mean_interval(scores, groups, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_an_interval_needs_two_groups_and_finite_scores() -> None:
    with pytest.raises(ValueError, match="needs 2 or more: there are 1"):
        mean_interval(np.array([1.0, 0.0]), ["a", "a"], seed=0)
    with pytest.raises(ValueError, match="score of row 1 is inf"):
        mean_interval(np.array([1.0, np.inf]), ["a", "b"], seed=0)
    with pytest.raises(ValueError, match="2 scores and 3 groups"):
        mean_interval(np.array([1.0, 2.0]), ["a", "b", "c"], seed=0)


def test_a_statistic_that_no_resample_defines_is_refused() -> None:
    with pytest.raises(ValueError, match="None of 10 resamples of 2 groups"):
        bootstrap_interval(lambda weights: float("nan"), ["a", "b"], seed=0, resamples=10)


# --- corrections


@given(
    p_values=st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.05]), min_size=1, max_size=30),
    q=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_benjamini_hochberg_rejects_up_to_the_last_p_value_under_its_line(
    p_values: list[float], q: float
) -> None:
    ascending = sorted(p_values)
    under = [p for rank, p in enumerate(ascending, 1) if p * len(p_values) / rank <= q]
    expected = [p <= max(under, default=-1) for p in p_values]
    corrected = benjamini_hochberg(np.array(p_values), q=q)
    assert corrected.reject.tolist() == expected
    assert corrected.adjusted == pytest.approx(stats.false_discovery_control(p_values))


def test_a_p_value_outside_0_to_1_is_named() -> None:
    with pytest.raises(ValueError, match="p-value 1 is nan"):
        benjamini_hochberg(np.array([0.5, np.nan]))


def test_a_permutation_p_value_counts_the_observed_value_as_a_draw() -> None:
    null = np.array([0.5, 0.6, 0.7, 0.8])
    assert permutation_p_value(0.9, null) == 1 / 5
    assert permutation_p_value(0.7, null) == 3 / 5


def test_permutation_p_values_of_pure_noise_are_uniform() -> None:
    draws = np.random.default_rng(0).normal(size=(500, 100))
    p_values = [permutation_p_value(draw[0], draw[1:]) for draw in draws]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001

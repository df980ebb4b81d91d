"""Facts about the figures of single units."""

from collections.abc import Callable
from inspect import unwrap as as_users_call  # without the shape checks of a test run
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldscope.figures import ranking_bars, ranking_scatter, unit_histograms

RANKING = pd.DataFrame(
    {
        "unit": [10, 11, 12, 13],
        "auroc": [0.55, 0.95, 0.10, 0.50],
        "accuracy": [0.54, 0.90, 0.85, 0.51],
        "sign": [1, 1, -1, 1],
    }
)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=2, max_size=50))
def test_each_class_sums_to_100_percent_whatever_its_size(
    traces: Callable[..., Any], rows: list[tuple[float, bool]]
) -> None:
    values = np.array([value for value, _ in rows] + [0.0, 1.0])
    labels = np.array([label for _, label in rows] + [False, True])
    figure = unit_histograms(values, labels, unit_name="unit 1 (activation)")
    assert [bar.y.sum() for bar in traces(figure)] == pytest.approx([100, 100])


def test_a_bar_is_the_share_of_its_class_between_its_edges(traces: Callable[..., Any]) -> None:
    values = np.array([0.0, 0.1, 6.0, 6.0, 0.0])
    labels = np.array([0, 0, 0, 1, 1])
    negative, positive = traces(unit_histograms(values, labels, unit_name="u"))
    assert negative.x[0] - negative.width[0] / 2 == pytest.approx(0)
    assert negative.x[-1] + negative.width[-1] / 2 == pytest.approx(6)
    assert negative.y[[0, 1, -1]] == pytest.approx([100 / 3, 100 / 3, 100 / 3])
    assert positive.y[[0, -1]] == pytest.approx([50, 50])


def test_the_classes_are_named_with_their_sizes_and_the_threshold_is_drawn(
    traces: Callable[..., Any],
) -> None:
    figure = unit_histograms(
        np.array([0.0, 1.0, 2.0]),
        np.array([0, 1, 1]),
        unit_name="u",
        threshold=0.5,
        label_names=("bad", "good"),
    )
    assert [bar.name for bar in traces(figure)] == ["bad (n = 1)", "good (n = 2)"]
    assert [shape.x0 for shape in figure.layout.shapes] == [0.5]
    assert figure.layout.annotations[0].text == "threshold 0.5"


def test_values_of_few_digits_that_hardly_differ_are_drawn(traces: Callable[..., Any]) -> None:
    values = np.nextafter(np.ones(4), np.array([1, 1, 2, 2]), dtype=np.float32)
    figure = unit_histograms(values, np.array([0, 0, 1, 1]), unit_name="u")
    assert [(bar.y[0], bar.y[-1]) for bar in traces(figure)] == [(100, 0), (0, 100)]


def test_a_threshold_below_every_value_is_no_line() -> None:
    values, labels = np.array([0.0, 1.0]), np.array([0, 1])
    figure = unit_histograms(values, labels, unit_name="u", threshold=-np.inf)
    assert not figure.layout.shapes and not figure.layout.annotations


@pytest.mark.parametrize(
    ("values", "labels", "complaint"),
    [
        ([0.0, 1.0], [0, 1, 1], "there are 2 values and 3 labels"),
        ([0.0, 1.0], [1, 1], r"labels must be 0 and 1, both present; found \[1\]"),
        ([0.0, 1.0], [-1, 1], r"found \[-1, 1\]"),
        ([0.0, np.nan], [0, 1], "1 of 2 values are not finite"),
    ],
)
def test_what_cannot_be_drawn_is_named(values: list, labels: list, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        as_users_call(unit_histograms)(np.array(values), np.array(labels), unit_name="u")


def test_units_are_sorted_by_auroc_and_split_at_chance(traces: Callable[..., Any]) -> None:
    positive, negative = traces(ranking_scatter(RANKING, top=2))
    assert positive.x.tolist() == [1, 2, 3]
    assert positive.y.tolist() == [0.95, 0.55, 0.50]
    assert positive.customdata.tolist() == [["11", 0.9], ["10", 0.54], ["13", 0.51]]
    assert (negative.x.tolist(), negative.y.tolist()) == ([4], [0.10])


def test_a_unit_that_is_higher_on_one_class_may_have_its_best_cut_the_other_way(
    traces: Callable[..., Any],
) -> None:
    ranking = RANKING.assign(sign=[-1, -1, 1, 1])
    positive, negative = traces(ranking_scatter(ranking))
    assert (positive.name, positive.y.tolist()) == (
        "higher on the positive class",
        [0.95, 0.55, 0.50],
    )
    assert negative.y.tolist() == [0.10]


def test_the_units_farthest_from_chance_are_named_at_their_points() -> None:
    notes = ranking_scatter(RANKING, top=2).layout.annotations
    assert [(note.text, note.x, note.y) for note in notes] == [
        ("unit 11: 0.950", 1, 0.95),
        ("unit 12: 0.100", 4, 0.10),
    ]


def test_names_of_units_that_score_alike_stand_apart() -> None:
    n = 500
    auroc = np.concatenate([np.full(5, 0.9), np.linspace(0.6, 0.4, n - 10), np.full(5, 0.1)])
    ranking = pd.DataFrame({"unit": range(n), "auroc": auroc, "accuracy": auroc, "sign": 1})
    notes = ranking_scatter(ranking, top=10).layout.annotations
    for end in (True, False):
        heights = sorted(note.ay for note in notes if (note.y > 0.5) == end)
        assert len(heights) == 5
        assert min(np.diff(heights)) >= 0.06 * 0.8 - 1e-9


def test_bars_show_the_best_units_first(traces: Callable[..., Any]) -> None:
    auroc, accuracy = traces(ranking_bars(RANKING, top=2))
    assert list(auroc.y) == list(accuracy.y) == ["11 (+)", "12 (−)"]
    assert auroc.x.tolist() == [0.95, 0.10]
    assert accuracy.x.tolist() == [0.90, 0.85]


def test_a_ranking_without_a_column_or_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="ranking_scatter needs .*; the table lacks sign"):
        ranking_scatter(RANKING.drop(columns="sign"))
    with pytest.raises(ValueError, match="ranking_bars was given a table without rows"):
        ranking_bars(RANKING.iloc[:0])

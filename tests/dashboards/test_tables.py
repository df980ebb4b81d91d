"""What the pages show of a run's tables."""

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from dashboards.tables import Place

RANKING = pd.DataFrame(
    [
        ("imdb", "lstm.0.hook_c", "final", 7, 0.9, 0.8, 0.5, 1),
        ("imdb", "lstm.0.hook_c", "mean", 3, 0.1, 0.7, -0.5, -1),
        ("imdb", "lstm.0.hook_c", "final", 2, 0.7, 0.6, 0.0, 1),
        ("sst", "lstm.0.hook_c", "final", 7, 0.6, 0.55, 0.1, 1),
    ],
    columns=["data", "hook", "position", "unit", "auroc", "accuracy", "threshold", "sign"],
)


@pytest.fixture
def place() -> "Place":
    from dashboards.tables import Place

    return Place("imdb", "lstm.0.hook_c", "final")


def test_units_are_ranked_within_their_place_in_the_order_of_the_table(place: "Place") -> None:
    from dashboards.tables import ranked_units

    units = ranked_units(RANKING, place)
    assert units["unit"].tolist() == [7, 2]
    assert units["rank"].tolist() == [1, 2]
    assert units["auroc"].tolist() == [0.9, 0.7]


def test_a_ranked_unit_has_the_scores_of_its_row(place: "Place") -> None:
    from dashboards.tables import RankedUnit, ranked_unit, ranked_units

    assert ranked_unit(ranked_units(RANKING, place), 2) == RankedUnit(
        rank=2, unit=2, auroc=0.7, accuracy=0.6, threshold=0.0, sign=1
    )


def test_the_part_that_units_were_ranked_on_has_its_n_where_the_table_says_it(
    place: "Place",
) -> None:
    from dashboards.tables import ranked_on

    assert ranked_on(RANKING, place) == "train"
    assert ranked_on(RANKING.assign(n=[25, 25, 25, 67]), place) == "train, n = 25"


def test_values_meet_the_texts_of_their_row(place: "Place") -> None:
    from dashboards.tables import unit_on_texts

    here = {"data": "imdb", "hook": "lstm.0.hook_c"}
    values = pd.DataFrame(
        [
            {**here, "position": "final", "unit": 7, "row": 12, "value": 0.25},
            {**here, "position": "final", "unit": 7, "row": 11, "value": -0.5},
            {**here, "position": "mean", "unit": 7, "row": 11, "value": 9.0},
            {**here, "position": "final", "unit": 2, "row": 11, "value": 9.0},
            {**here, "position": "final", "unit": 7, "row": 99, "value": 9.0},
        ]
    )
    texts = pd.DataFrame({"row": [11, 12], "text": ["bad", "good"], "label": [0, 1]})
    found = unit_on_texts(values, texts, place, 7)
    assert dict(zip(found["text"], found["value"], strict=True)) == {"good": 0.25, "bad": -0.5}
    assert unit_on_texts(values, texts, place, 5).empty


@given(st.lists(st.floats(-5, 5), max_size=12), st.integers(1, 8))
def test_extremes_are_the_ends_of_the_order_and_share_no_row(
    values: list[float], count: int
) -> None:
    from dashboards.tables import extremes

    table = pd.DataFrame({"value": pd.Series(values, dtype=float), "text": range(len(values))})
    highest, lowest = extremes(table, count)
    kept = min(count, len(values) // 2)
    assert highest["value"].tolist() == sorted(values, reverse=True)[:kept]
    assert lowest["value"].tolist() == sorted(values)[:kept]
    assert not set(highest["text"]) & set(lowest["text"])


def test_a_row_matches_if_it_holds_every_word_somewhere() -> None:
    from dashboards.tables import matching

    table = pd.DataFrame(
        {"split": ["test", "train", "test"], "metric": ["Accuracy", "accuracy", None], "n": 8}
    )
    assert matching(table, "test ACCURACY").index.tolist() == [0]
    assert matching(table, "accuracy").index.tolist() == [0, 1]
    assert matching(table, " ").index.tolist() == [0, 1, 2]
    assert matching(table, "a.c").empty


def test_what_all_rows_share_is_told_once_and_the_numbers_stay() -> None:
    from dashboards.tables import told_once

    table = pd.DataFrame(
        {
            "note": ["", ""],
            "n": [4, 4],
            "value": [0.5, 0.5],
            "network": ["zoo:a", "zoo:a"],
            "split": ["dev", "test"],
            "seed": [None, None],
        }
    )
    told, differing = told_once(table)
    assert told == {"network": "zoo:a"}
    assert list(differing) == ["split", "value", "n"]

"""Facts about tables and the numbers in them."""

import math
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldscope.report.tables import format_fact, format_interval, format_numbers, render_table


def cells(html: str, tag: str) -> list[str]:
    return [
        unescape(cell) for cell in re.findall(rf"<{tag}(?: class=\"number\")?>(.*?)</{tag}>", html)
    ]


def test_an_interval_stands_beside_its_value() -> None:
    assert format_interval(0.81, 0.79, 0.83, decimals=2) == "0.81 [0.79, 0.83]"
    assert format_interval(0.81, math.nan, math.nan, decimals=2) == "0.81"
    assert format_interval(math.nan, math.nan, math.nan, decimals=2) == "–"


def test_value_low_and_high_are_one_column() -> None:
    table = pd.DataFrame(
        {"low": [0.79, None], "method": ["a", "b"], "value": [0.81, 0.5], "high": [0.83, None]}
    )
    html = render_table(table)
    assert cells(html, "th") == ["method", "value [interval]"]
    assert cells(html, "td") == ["a", "0.81 [0.79, 0.83]", "b", "0.50"]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (0.3, "0.5 [0.4, 0.7]"),
        (0.04, "0.51 [0.49, 0.53]"),
        (0.01, "0.512 [0.507, 0.517]"),
        (0.0004, "0.5123 [0.5121, 0.5125]"),
    ],
)
def test_an_interval_is_as_precise_as_it_is_narrow(width: float, shown: str) -> None:
    table = pd.DataFrame({"value": [0.5123], "low": [0.5123 - width / 2]})
    html = render_table(table.assign(high=0.5123 + width / 2))
    assert cells(html, "td") == [shown]


def test_a_value_without_its_interval_columns_is_an_ordinary_column() -> None:
    assert cells(render_table(pd.DataFrame({"value": [0.5]})), "td") == ["0.500"]


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ([0.8123, 0.5], ["0.812", "0.500"]),
        ([1.62345, 0.85], ["1.623", "0.850"]),
        ([123.456, 20.0], ["123.5", "20.0"]),
        ([54321.5, 1234.25], ["54,322", "1,234"]),
        ([0.05, 0.0123], ["0.0500", "0.0123"]),
        ([1e-8, 2e-8], ["1e-08", "2e-08"]),
        ([1.0, 0.00390625], ["1", "0.00391"]),
        ([1.0, 2388.0, 25000.0], ["1", "2388", "25,000"]),
        ([-4.0, 0.0, 4.0], ["-4", "0", "4"]),
        ([0.5, math.nan], ["0.500", "–"]),
        ([math.inf, 0.5], ["inf", "0.500"]),
        ([math.inf, 1.0], ["inf", "1"]),
        ([], []),
    ],
)
def test_numbers_are_shown_as_one_reads_them(numbers: list[float], shown: list[str]) -> None:
    assert format_numbers(numbers) == shown


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=6))
def test_every_number_is_within_a_percent_of_its_text(numbers: list[float]) -> None:
    for number, text in zip(numbers, format_numbers(numbers), strict=True):
        assert float(text.replace(",", "")) == pytest.approx(number, rel=0.051, abs=0)


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (pd.NA, "–"),
        (True, "yes"),
        (np.bool_(False), "no"),
        (7, "7"),
        (np.int64(62_000_000), "62,000,000"),
        (0.25, "0.250"),
        ("<b>", "<b>"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_a_fact_is_shown_as_text(fact: object, text: str) -> None:
    assert format_fact(fact) == text


def test_cells_of_every_kind_are_shown() -> None:
    table = pd.DataFrame(
        {
            "seed_of_run": pd.array([0, None], dtype="Int64"),
            "found": [True, False],
            "mixed": ["a", None],
            "lists": [[1], [2, 3]],
        }
    )
    html = render_table(table)
    assert cells(html, "th") == ["seed of run", "found", "mixed", "lists"]
    assert cells(html, "td") == ["0", "yes", "a", "[1]", "–", "no", "–", "[2, 3]"]
    assert html.count('class="number"') == 3


def test_hostile_cells_and_headings_are_text() -> None:
    attack = "<script>alert('x')</script>\"&amp;"
    html = render_table(pd.DataFrame({attack: [attack]}))
    assert "<script" not in html
    assert cells(html, "th") == cells(html, "td") == [attack]


def test_a_table_without_rows_keeps_its_headings() -> None:
    html = render_table(pd.DataFrame({"a": pd.Series([], dtype=float), "b": []}))
    assert cells(html, "th") == ["a", "b"]
    assert cells(html, "td") == []

"""The chart that only the dashboard draws."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=6))


@given(WORDS, st.lists(st.integers(1, 5), min_size=60, max_size=60))
def test_every_word_is_found_at_the_piece_in_which_it_begins(
    words: list[str], sizes: list[int]
) -> None:
    """However the bytes are cut into pieces."""
    from dashboards.charts import word_starts

    data, pieces = " ".join(words).encode(), []
    starts = [len(" ".join(words[:i]).encode()) + (i > 0) for i in range(len(words))]
    owner = []
    for number, size in enumerate([*sizes, *([5] * len(data))]):
        pieces.append(data[:size])
        owner += [number] * len(data[:size])
        data = data[size:]
    pieces = [piece for piece in pieces if piece]
    expected = [(owner[start], word) for start, word in zip(starts, words, strict=True)]
    assert word_starts(pieces) == expected


def test_a_point_is_drawn_for_each_piece_and_text_is_escaped() -> None:
    from dashboards.charts import value_over_text

    pieces = [b"a ", b"<b>", b" c"]
    values = np.array([1.0, -2.0, 0.5])
    figure = value_over_text(pieces, values, value_title="unit 3 (activation)", piece="token")
    line: Any = figure.data[0]
    assert list(line.y) == [1.0, -2.0, 0.5]
    assert line.customdata[1] == "'&lt;b&gt;'"
    axis = figure.layout.xaxis
    assert list(axis.ticktext) == ["a", "&lt;b&gt;", "c"]
    assert list(axis.tickvals) == [0, 1, 2]
    assert figure.layout.yaxis.title.text == "unit 3 (activation)"


def test_a_long_text_has_at_most_forty_words_on_its_axis() -> None:
    from dashboards.charts import value_over_text

    pieces = [b"word "] * 1000
    figure = value_over_text(pieces, np.zeros(1000), value_title="v", piece="token")
    assert 20 < len(figure.layout.xaxis.ticktext) <= 40


def test_values_of_another_number_than_the_pieces_are_refused() -> None:
    from dashboards.charts import value_over_text

    with pytest.raises(ValueError, match="2 pieces and 3 values"):
        value_over_text([b"a", b"b"], np.zeros(3), value_title="v", piece="byte")

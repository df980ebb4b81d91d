"""Ground truth reaches the positions that it is about, and no others."""

import numpy as np
import pytest

from worldscope.activations.labels import Symbols, choose_positions, label_positions
from worldscope.networks.codecs import BytesCodec
from worldscope.worlds.world import State

TEXT = "a<br />good  film"
PLACES = BytesCodec().locate(TEXT)  # "\n a good  film "
READ = Symbols(PLACES, TEXT)
N = len(PLACES.symbols)


def labelled(value: object, level: str) -> list:
    return list(label_positions(State("x", "binary", level), value, N, READ))  # pyright: ignore


def characters(values: list) -> str:
    return "".join(chr(symbol) for symbol, v in zip(PLACES.symbols, values, strict=True) if v)


def test_a_value_of_the_whole_input_holds_everywhere() -> None:
    assert labelled(1, "sequence") == [1] * N
    assert labelled(None, "span") == [None] * N


def test_values_of_positions_may_leave_out_what_the_codec_adds() -> None:
    assert labelled(list(range(N)), "position") == list(range(N))
    own = labelled(list(range(N - 3)), "position")
    assert own == [None, None, *range(N - 3), None]


def test_a_span_of_the_original_text_reaches_its_symbols() -> None:
    assert characters(labelled([{"start": 7, "end": 11, "value": 1}], "span")) == "good"
    assert characters(labelled([{"start": 1, "end": 7, "value": 1}], "span")) == " "


def test_the_shortest_span_wins() -> None:
    spans = [{"start": 7, "end": 11, "value": 2}, {"start": 0, "end": 17, "value": 1}]
    for order in (spans, spans[::-1]):
        values = labelled(order, "span")
        assert characters([value == 2 for value in values]) == "good"
        assert values.count(None) == 3


def test_positions_are_chosen_by_number_by_flag_or_by_span() -> None:
    assert choose_positions([0, N - 1], N, READ).nonzero()[0].tolist() == [0, N - 1]
    flags = [index == 2 for index in range(N)]
    assert choose_positions(flags, N, READ).nonzero()[0].tolist() == [2]
    assert characters(list(choose_positions([{"start": 13, "end": 17}], N, READ))) == "film"
    assert not choose_positions([], N, READ).any()
    assert not choose_positions(None, N, READ).any()


def test_one_position_or_span_needs_no_list_and_ones_are_positions() -> None:
    assert choose_positions(3, N, READ).nonzero()[0].tolist() == [3]
    assert characters(list(choose_positions({"start": 13, "end": 17}, N, READ))) == "film"
    assert choose_positions([0, 1] * (N // 2), N, READ).nonzero()[0].tolist() == [0, 1]
    span = {"start": 7, "end": 11, "value": 1}
    assert labelled(span, "span") == labelled([span], "span")


@pytest.mark.parametrize(
    ("value", "level", "said"),
    [
        ([{"start": 0, "end": 1}], "span", r"'end': 1} is no {\"start\": …, .*\"value\": …}"),
        ([3], "span", r"3 is no {\"start\""),
        ([{"value": 1, "end": 2}], "span", "needs a start and a later end, in characters from 0"),
        ([{"start": 0, "end": 99, "value": 1}], "span", "from 0 to 17, the length of the text"),
        (1, "position", f"1 values for {N} positions"),
    ],
)
def test_labels_of_the_wrong_form_are_refused(value: object, level: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        labelled(value, level)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([N], f"asks for {N}; give positions of symbols as whole numbers from 0 to {N - 1}, .*"),
        ([0, -1], "asks for -1; .* spans of characters as "),
        (-1, "asks for -1; "),
        ([0.5], "asks for 0.5; "),
        (2.0, "asks for 2.0; "),
        ([0, True], "asks for True; "),
        ([True], "1 values for"),
        ("ab", "asks for 'ab'; "),
        ([{"start": 13, "end": 18}], "later end, in characters from 0 to 17, the length of"),
        ({"start": -1, "end": 2}, "later end, in characters from 0 to 17, the length of"),
        ({"begin": 1, "end": 2}, "'begin': 1.* needs a start and a later end"),
    ],
)
def test_a_choice_that_is_not_there_is_refused(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        choose_positions(value, N, READ)


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=f"3 values for {N} positions, or {N - 3} without"):
        labelled([1, 2, 3], "position")


def test_spans_need_a_text_and_an_order() -> None:
    for symbols in (None, Symbols(PLACES, None)):
        with pytest.raises(ValueError, match="does not read this as text"):
            choose_positions([{"start": 0, "end": 1, "value": 1}], N, symbols)
    with pytest.raises(ValueError, match="a later end"):
        labelled([{"start": 3, "end": 3, "value": 1}], "span")
    assert np.all(PLACES.special == [s == -1 for s in PLACES.starts])

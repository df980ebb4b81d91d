"""Facts about coloured text."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldscope.figures import DIVERGING, text_heatmap
from worldscope.figures.heatmap import colours_of, luminance

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;script&gt;",
    "</div></div>",
]
PIECES = st.lists(st.text(max_size=8) | st.binary(max_size=8), max_size=12)


class Reader(HTMLParser):
    """Reads a heat map as a browser does: its tags, tooltips and the text that one would copy."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[dict[str, str | None]] = []
        self.copied = ""
        self.seen = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        in_text = any("pre-wrap" in (each.get("style") or "") for each in self.open)
        unselectable = any("user-select:none" in (each.get("style") or "") for each in self.open)
        if in_text:
            self.seen += data
            self.copied += "" if unselectable else data

    @property
    def pieces(self) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if "title" in attributes]


def test_the_text_that_one_copies_is_the_text() -> None:
    pieces = [" It", "'s", "\n", "\n", '5 < 6 & "7"', "\t", "naïve", " …"]
    reader = Reader(text_heatmap(pieces, np.zeros(len(pieces))))
    assert reader.copied == "".join(pieces)


def test_line_ends_and_tabs_are_shown() -> None:
    assert Reader(text_heatmap(["a\n\tb"], [0.0])).seen == "a↵\n→\tb"


def test_a_space_carries_a_dot() -> None:
    assert "radial-gradient" in text_heatmap([" "], [0.0])
    assert "radial-gradient" not in text_heatmap(["a"], [0.0])


def test_bytes_are_text_and_those_that_are_not_are_hex() -> None:
    whole = "é".encode()
    assert Reader(text_heatmap([b"caf", whole], [0.0, 1.0])).copied == "café"
    split = [whole[:1], whole[1:], b"\xff!"]
    assert Reader(text_heatmap(split, [0.0, 1.0, 2.0])).seen == "\\xc3\\xa9\\xff!"


@pytest.mark.parametrize("character", ["\x00", "\r", "\x7f", "\u202e", "\u2028", "\ud800"])
def test_invisible_characters_are_shown_by_their_number(character: str) -> None:
    reader = Reader(text_heatmap([f"a{character}b"], [0.0]))
    assert reader.seen == f"a\\u{ord(character):04x}b"


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_stays_text_everywhere(attack: str) -> None:
    html = text_heatmap([attack, attack.encode()], [0.5, -0.5], title=attack, unit=attack)
    reader = Reader(html)
    assert {tag for tag, _ in reader.tags} <= {"div", "span", "small"}
    assert {name for _, attributes in reader.tags for name in attributes} == {"style", "title"}
    assert reader.copied == attack * 2
    assert [(each["title"] or "").split("\n")[0] for each in reader.pieces] == [
        repr(attack),
        repr(attack.encode()),
    ]


@settings(max_examples=60)
@given(PIECES)
def test_any_pieces_give_one_closed_element_with_a_tooltip_for_each(
    pieces: list[str | bytes],
) -> None:
    reader = Reader(text_heatmap(pieces, np.arange(len(pieces), dtype=float)))
    assert reader.open == []
    assert len(reader.pieces) == len(pieces)
    assert {tag for tag, _ in reader.tags} <= {"div", "span", "small"}


def test_a_tooltip_gives_piece_value_and_position() -> None:
    pieces = Reader(text_heatmap(["a", " b"], [-0.25, 1.0])).pieces
    assert [each["title"] for each in pieces] == [
        "'a'\n-0.25\nposition 0",
        "' b'\n+1\nposition 1",
    ]


def test_the_largest_value_has_the_strongest_colour_and_zero_the_middle_one() -> None:
    html = text_heatmap(["a", "b", "c", "d"], [-2.0, 0.0, 2.0, 1.0])
    grounds = re.findall(r"<span style=\"background:(#\w{6})", html)
    assert grounds[:3] == [DIVERGING[0].lower(), DIVERGING[3].lower(), DIVERGING[6].lower()]
    assert grounds[3] not in grounds[:3]


def test_values_beyond_vmax_have_the_strongest_colour() -> None:
    assert colours_of(7.0, 2.0) == colours_of(2.0, 2.0)
    assert "−2 " in text_heatmap(["a"], [7.0], vmax=2.0)


def test_the_legend_names_scale_and_unit() -> None:
    text = re.sub("<[^>]*>", "", text_heatmap(["a"], [-2.5], unit="sd"))
    assert text == "sd: −2.5  +2.5a"


def test_a_piece_without_a_value_has_no_colour() -> None:
    piece = Reader(text_heatmap(["a", "b"], [np.nan, 1.0])).pieces[0]
    assert "style" not in piece
    assert piece["title"] == "'a'\n+nan\nposition 0"


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan, np.nan]])
def test_a_text_without_any_signal_is_drawn(values: list[float]) -> None:
    assert Reader(text_heatmap(["a", "b"], values)).copied == "ab"


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e6))
def test_every_colour_has_readable_ink(value: float, vmax: float) -> None:
    light, dark = sorted((luminance(colour) for colour in colours_of(value, vmax)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


@given(st.floats(0.1, 1), st.floats(0, 0.9))
def test_a_stronger_value_is_never_lighter(value: float, share: float) -> None:
    for sign in (1, -1):
        weak, strong = colours_of(sign * value * share, 1.0)[0], colours_of(sign * value, 1.0)[0]
        assert luminance(strong) <= luminance(weak)


def test_black_on_white_has_the_contrast_that_the_definition_gives() -> None:
    assert (luminance("#ffffff"), luminance("#000000")) == pytest.approx((1, 0))
    assert luminance("#808080") == pytest.approx(0.2158605, abs=1e-6)  # WCAG's worked value


@pytest.mark.parametrize(
    ("values", "vmax", "complaint"),
    [
        ([1.0], None, "there are 2 pieces and 1 values"),
        ([1.0, np.inf], None, "the value at position 1 is infinite"),
        ([1.0, 1.0], 0.0, "vmax must be positive, not 0.0"),
        ([1.0, 1.0], np.nan, "vmax must be positive, not nan"),
    ],
)
def test_what_cannot_be_drawn_is_named(
    values: list[float], vmax: float | None, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        text_heatmap(["a", "b"], values, vmax=vmax)

"""Texts as HTML: escaped, and whole characters only."""

import re
from html import unescape

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

TAGS = re.compile(r"<[^>]*>")


def seen(html: str) -> str:
    """The text that a reader sees."""
    return unescape(TAGS.sub("", html))


@given(st.text(), st.text(), st.integers(0, 200))
def test_a_growing_text_shows_whole_characters_only(prompt: str, text: str, cut: int) -> None:
    from dashboards.components.texts import written

    data = text.encode()[:cut]
    whole = data.decode(errors="ignore")
    assert seen(written(prompt, data, finished=False)) == prompt + whole


@given(st.binary())
def test_bytes_of_no_character_are_replaced_at_the_end(data: bytes) -> None:
    from dashboards.components.texts import written

    assert seen(written("", data)) == data.decode(errors="replace")


def test_text_of_a_network_cannot_become_markup() -> None:
    from dashboards.components.texts import written

    html = written("<i>", b"<script>alert(1)</script> & more")
    assert "<script" not in html
    assert "<i>" not in html
    assert seen(html) == "<i><script>alert(1)</script> & more"


def test_examples_show_value_label_and_text_escaped() -> None:
    from dashboards.components.texts import examples

    rows = pd.DataFrame({"value": [1.5, -0.25], "label": [1, 0], "text": ["<b>good</b>", "a & b"]})
    html = examples(rows, ("negative", "positive"))
    assert "<b>" not in html
    assert seen(html) == "+1.500positive<b>good</b>-0.250negativea & b"


def test_a_page_apart_is_itself_in_a_frame_without_an_origin() -> None:
    from dashboards.components.texts import apart

    page = "<!doctype html><p title=\"x\">&amp; 'quoted'</p><script>top.x = 1</script>"
    html = apart(page)
    frame = re.fullmatch(r'<body [^>]*><iframe ([^>]*) srcdoc="([^"]*)"></iframe></body>', html)
    assert frame is not None
    assert unescape(frame[2]) == page
    assert 'sandbox="allow-scripts allow-downloads"' in frame[1]

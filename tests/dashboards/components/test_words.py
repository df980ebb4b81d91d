"""Text from data inside Markdown."""

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_markdown_shows_the_text_as_it_is(text: str) -> None:
    """Read by another Markdown parser."""
    from dashboards.components.words import verbatim

    html = MarkdownIt("commonmark").render(f"before {verbatim(text)} after")
    assert unescape(re.sub(r"</?p>|\n$", "", html)) == f"before {' '.join(text.split())} after"


def test_streamlits_own_markup_is_taken_literally() -> None:
    from dashboards.components.words import verbatim

    assert verbatim(":red[x] $y$") == r"\:red\[x\] \$y\$"

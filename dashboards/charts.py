"""Figures that only the dashboard needs; those shared with reports are in worldscope.figures."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from worldscope.figures.look import BASELINE, POSITIVE, blank, plain

_WORDS = 40  # at most so many are written along the axis
_LETTERS = 14


def value_over_text(
    pieces: Sequence[bytes], values: Float[np.ndarray, " n"], *, value_title: str, piece: str
) -> go.Figure:
    """A value after each piece of a text, with the text's words along the axis.

    Args:
        pieces: The text in order.
        values: One for each piece.
        value_title: What the value is, and in which unit.
        piece: What a piece is called: byte, token.

    Raises:
        ValueError: If there is not one value for each piece.
    """
    if len(pieces) != len(values):
        raise ValueError(f"there are {len(pieces)} pieces and {len(values)} values; give as many")
    figure = blank(x_title=f"text (one point a {piece})", y_title=value_title)
    figure.add_hline(y=0, line={"color": BASELINE, "width": 1, "dash": "dot"})
    figure.add_scatter(
        x=np.arange(len(pieces)),
        y=values,
        customdata=[plain(repr(each.decode(errors="replace"))) for each in pieces],
        mode="lines",
        line={"color": POSITIVE, "width": 2},
        hovertemplate=f"{piece} %{{x}} %{{customdata}}: %{{y:.3f}}<extra></extra>",
    )
    words = word_starts(pieces)
    shown = words[:: -(-len(words) // _WORDS) or 1]
    figure.update_xaxes(
        tickvals=[place for place, _ in shown],
        ticktext=[plain(word[:_LETTERS]) for _, word in shown],
        tickangle=-60,
        tickfont={"size": 12},
        showgrid=False,
    )
    return figure.update_layout(height=360, showlegend=False)


def word_starts(pieces: Sequence[bytes]) -> list[tuple[int, str]]:
    """The index of the piece in which each word of the text begins, and the word."""
    ends = np.cumsum([0, *map(len, pieces)])
    text = b"".join(pieces)
    breaks = [-1, *(at for at, byte in enumerate(text) if byte in b" \t\n\r"), len(text)]
    found = [(before + 1, text[before + 1 : after]) for before, after in pairwise(breaks)]
    return [
        (int(np.searchsorted(ends, start, side="right")) - 1, word.decode(errors="replace"))
        for start, word in found
        if word
    ]

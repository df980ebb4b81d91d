"""The look that all figures share: colours, template, and how text from data enters a figure."""

from collections.abc import Iterable
from html import escape

import plotly.graph_objects as go

# Okabe and Ito's colours, which remain apart for the colour-blind; yellow is too faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
"""Colours of things that are compared, in order."""
BASELINE = "#8A8A8A"
"""Colour of baselines, placebos and published figures."""
NEGATIVE, POSITIVE = "#D55E00", "#0072B2"
"""Colours of the two classes of a binary state."""
DIVERGING = ("#9C3B00", "#D9772E", "#F5C29B", "#F7F7F7", "#A3CDE6", "#3F8FC4", "#004C7D")
"""Equally spaced colours from the most negative value, through zero, to the most positive."""

CONFIG = {"responsive": True, "displaylogo": False, "showSendToCloud": False}
"""How plotly shows a figure: as wide as its place, and without a button that uploads the data."""

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "cross", "star")
_DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"


def template(*, dark: bool = False) -> go.layout.Template:
    """The plotly template of every figure, for a light page or a dark one.

    The background is the page's own.
    """
    ink, grid, ground = (
        ("#E4E4E4", "#3A3F45", "#24282D") if dark else ("#24282D", "#E3E5E8", "#FFFFFF")
    )
    axis = {
        "gridcolor": grid,
        "linecolor": ink,
        "tickcolor": ink,
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "automargin": True,
        "title": {"standoff": 10},
    }
    return go.layout.Template(
        layout={
            "font": {"family": _FONT, "size": 14, "color": ink},
            "title": {
                "font": {"size": 16, "weight": 600},
                "x": 0,
                "xref": "paper",
                "y": 0.99,
                "yanchor": "top",
                "automargin": True,
            },
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": PALETTE,
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 10, "r": 20, "t": 24, "b": 10},
            "showlegend": True,  # also of a single trace: its name says what was measured
            "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": BASELINE, "activecolor": ink},
            "hoverlabel": {"bgcolor": ground, "font": {"color": ink}, "align": "left"},
            "height": 420,
        }
    )


def blank(*, x_title: str, y_title: str, title: str | None = None) -> go.Figure:
    """A figure in the shared look, without traces; the titles are plain text."""
    figure = go.Figure(layout={"template": template()})
    figure.update_xaxes(title_text=plain(x_title))
    figure.update_yaxes(title_text=plain(y_title))
    if title:
        figure.update_layout(title_text=plain(title))
    return figure


def plain(text: object) -> str:
    """Text from data as plotly shows it verbatim: plotly reads labels as a kind of HTML."""
    return escape(str(text), quote=False)


def colour(index: int) -> str:
    """The colour of the thing at `index`."""
    return PALETTE[index % len(PALETTE)]


def symbol(index: int) -> str:
    """The marker of the thing at `index`, so that colour is never the only difference."""
    return _SYMBOLS[index % len(_SYMBOLS)]


def dash(index: int) -> str:
    """The line style of the reference at `index`."""
    return _DASHES[index % len(_DASHES)]


def is_baseline(name: object) -> bool:
    """Whether something is drawn as a baseline: its name holds "baseline" or "placebo"."""
    return any(word in str(name).lower() for word in ("baseline", "placebo"))


def in_order(values: Iterable[object]) -> list[str]:
    """The distinct values as text, in the order of their first appearance."""
    return list(dict.fromkeys(map(str, values)))

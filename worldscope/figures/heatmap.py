"""Text coloured by a value for each of its pieces, as HTML that stays text."""

import unicodedata
from collections.abc import Sequence
from functools import cache
from html import escape

import numpy as np
from jaxtyping import Real

from worldscope.figures.look import DIVERGING

_FONT = "ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace"
_PAPER = (
    "background:#fff;color:#222;border:1px solid #d5d8dc;border-radius:6px;padding:12px;"
    "margin:1em 0;print-color-adjust:exact;-webkit-print-color-adjust:exact"
)
_HEADING = "font:600 15px system-ui,sans-serif;margin-bottom:6px"
_TEXT = f"font:14px/1.75 {_FONT};white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4"
_MARK = '<span style="user-select:none;-webkit-user-select:none">{}</span>'
_CODE = '<small style="font-size:.7em">{}</small>'
_DOT = (
    '<span style="background:radial-gradient(circle,currentColor .5px,transparent 1px)'
    ' center/1ch 1em">{}</span>'
)
_STEPS = 200  # of colour, from the most negative value to the most positive
_ESCAPED_BYTE = range(0xDC80, 0xDD00)  # where Python's "surrogateescape" puts undecodable bytes


def text_heatmap(
    pieces: Sequence[str | bytes],
    values: Real[np.ndarray, " n"] | Sequence[float],
    *,
    vmax: float | None = None,
    unit: str = "activation",
    title: str | None = None,
) -> str:
    """Text whose pieces (bytes, characters, tokens) are coloured by their values around zero.

    Spaces show as dots and line ends as arrows, yet are copied as themselves; bytes that are not
    UTF-8 by themselves and invisible characters show as hex. The block is one HTML element with its
    own paper, so that it reads the same on light and dark pages, without script or style sheet.

    Args:
        pieces: The text in order; bytes are decoded piece by piece.
        values: One for each piece. NaN leaves a piece without colour.
        vmax: The value of the strongest colour, either way; else the largest absolute value.
        unit: The unit of the values, for the legend.
        title: A heading, as plain text.

    Raises:
        ValueError: If there is not one value for each piece, a value is infinite, or vmax is not
            positive.
    """
    numbers = np.asarray(values, dtype=float)
    _check(pieces, numbers, vmax)
    largest = np.nanmax(np.abs(numbers), initial=0.0) if vmax is None else vmax
    scale = largest or 1.0
    body = "".join(
        _piece(position, piece, value, scale)
        for position, (piece, value) in enumerate(zip(pieces, numbers, strict=True))
    )
    heading = f'<div style="{_HEADING}">{escape(title)}</div>' if title else ""
    text = f'<div style="{_TEXT}">{body}</div>'
    return f'<div style="{_PAPER}">{heading}{_legend(scale, unit)}{text}</div>'


def colours_of(value: float, vmax: float) -> tuple[str, str]:
    """Background of a value on the diverging scale, and the ink that reads best on it."""
    share = min(max(value / vmax, -1.0), 1.0)
    return _ramp()[round((share + 1) / 2 * _STEPS)]


def luminance(colour: str) -> float:
    """Relative luminance of a "#rrggbb" colour, 0 (black) to 1 (white).

    Source: WCAG 2.2, definition of relative luminance.
    """
    channels = np.array(_channels(colour)) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@cache
def _ramp() -> list[tuple[str, str]]:
    stops = np.array([_channels(stop) for stop in DIVERGING])
    places = np.linspace(0, len(stops) - 1, _STEPS + 1)
    channels = [np.interp(places, range(len(stops)), stop).round() for stop in stops.T]
    grounds = [f"#{int(r):02x}{int(g):02x}{int(b):02x}" for r, g, b in zip(*channels, strict=True)]
    return [(ground, _ink_on(ground)) for ground in grounds]


def _ink_on(ground: str) -> str:
    """Black or white, whichever has the higher contrast."""
    return "#000000" if (luminance(ground) + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def _channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _piece(position: int, piece: str | bytes, value: float, scale: float) -> str:
    text = piece.decode("utf-8", "surrogateescape") if isinstance(piece, bytes) else piece
    tooltip = escape(f"{piece!r}\n{value:+.4g}\nposition {position}")
    if np.isnan(value):
        return f'<span title="{tooltip}">{_visible(text)}</span>'
    background, ink = colours_of(value, scale)
    style = f"background:{background};color:{ink}"
    return f'<span style="{style}" title="{tooltip}">{_visible(text)}</span>'


def _visible(text: str) -> str:
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character == " ":
        return _DOT.format(" ")
    if character == "\n":
        return _MARK.format("↵") + "\n"
    if character == "\t":
        return _MARK.format("→") + "\t"
    if ord(character) in _ESCAPED_BYTE:
        return _CODE.format(f"\\x{ord(character) - 0xDC00:02x}")
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return _CODE.format(f"\\u{ord(character):04x}")
    return escape(character)


def _legend(scale: float, unit: str) -> str:
    gradient = ",".join(DIVERGING)
    bar = (
        f'<span style="display:inline-block;width:120px;height:10px;vertical-align:middle;'
        f'border:1px solid #999;background:linear-gradient(to right,{gradient})"></span>'
    )
    return (
        '<div style="font:12px system-ui,sans-serif;color:#555;margin-bottom:8px">'
        f"{escape(unit)}: −{scale:.3g} {bar} +{scale:.3g}</div>"
    )


def _check(pieces: Sequence[str | bytes], values: np.ndarray, vmax: float | None) -> None:
    if len(pieces) != len(values):
        raise ValueError(
            f"a heat map needs one value for each piece; there are {len(pieces)} pieces and "
            f"{len(values)} values."
        )
    if np.isinf(values).any():
        raise ValueError(f"the value at position {int(np.isinf(values).argmax())} is infinite.")
    if vmax is not None and not vmax > 0:
        raise ValueError(f"vmax must be positive, not {vmax}.")

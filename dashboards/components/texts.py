"""Texts of data sets and networks as HTML: always escaped, spaces and line ends kept."""

import codecs
from html import escape

import pandas as pd

_PAGE = (
    "white-space:pre-wrap;overflow-wrap:anywhere;font-size:1rem;line-height:1.65;"
    "min-height:8rem;padding:1rem 1.2rem;border-radius:8px;"
    "background:rgba(128,128,128,.08)"
)
_ROW = "display:flex;gap:.9rem;padding:.65rem 0;border-bottom:1px solid rgba(128,128,128,.2)"
_NUMBER = "flex:none;width:4.2rem;font-variant-numeric:tabular-nums;font-weight:600"
_EXAMPLE = "max-height:10rem;overflow-y:auto;overflow-wrap:anywhere"
_NOTE = "font-size:.8rem;opacity:.65"


def written(prompt: str, continuation: bytes, *, finished: bool = True) -> str:
    """A prompt, faint, and what a network has written after it so far.

    A character of which some bytes are still to come is left out until it is whole; bytes that are
    not UTF-8 become U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(continuation, final=finished)
    return (
        f'<div style="{_PAGE}"><span style="opacity:.55">{escape(prompt)}</span>'
        f"{escape(text)}</div>"
    )


def examples(rows: pd.DataFrame, label_names: tuple[str, str]) -> str:
    """Texts with the value and the label of each: a line for each row, in order."""
    columns = zip(rows["value"], rows["label"], rows["text"], strict=True)
    lines = [_example(value, label_names[label], text) for value, label, text in columns]
    return f"<div>{''.join(lines)}</div>"


def apart(page: str) -> str:
    """A whole HTML page in a frame of an origin of its own: its scripts cannot reach the dashboard.

    The frame fills its place; the page may run scripts and offer downloads, nothing else.
    """
    return (
        '<body style="margin:0"><iframe title="report" sandbox="allow-scripts allow-downloads" '
        'style="display:block;width:100%;height:100vh;border:0" '
        f'srcdoc="{escape(page)}"></iframe></body>'
    )


def _example(value: float, label: str, text: str) -> str:
    return (
        f'<div style="{_ROW}"><div style="{_NUMBER}">{value:+.3f}'
        f'<div style="{_NOTE};font-weight:400">{escape(label)}</div></div>'
        f'<div style="{_EXAMPLE}">{escape(text)}</div></div>'
    )

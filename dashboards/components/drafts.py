"""Two texts that a network writes side by side, shown while they grow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards.components.texts import written

if TYPE_CHECKING:
    from dashboards.shared import Pair


@dataclass
class Draft:
    """Both texts as far as they are written, and what they were made with."""

    prompt: str
    edit: str
    """What is done to the second text."""
    made_with: str
    """Which feature, network and settings."""
    unsteered: bytes = b""
    steered: bytes = b""
    pieces: int = 0
    finished: bool = False

    def add(self, pair: "Pair") -> None:
        """Puts the next piece at the end of each text."""
        self.unsteered += pair.unsteered
        self.steered += pair.steered
        self.pieces += 1


class DraftPlace:
    """Where a draft is drawn: two columns, each text replaced as it grows."""

    def __init__(self, draft: Draft):
        left, right = st.columns(2, gap="large")
        left.subheader("Unsteered")
        right.subheader(f"Steered: {draft.edit}")
        self.unsteered: DeltaGenerator = left.empty()
        self.steered: DeltaGenerator = right.empty()
        self.caption: DeltaGenerator = st.empty()

    def draw(self, draft: Draft) -> None:
        """Shows both texts as far as they are written."""
        for place, text in ((self.unsteered, draft.unsteered), (self.steered, draft.steered)):
            place.html(written(draft.prompt, text, finished=draft.finished))
        self.caption.caption(f"{draft.made_with} · {draft.pieces} tokens written")


def write(draft: Draft, pairs: "Iterator[Pair]", place: DraftPlace) -> None:
    """Shows a draft while it is written, to the end or until the page is run again."""
    place.draw(draft)
    for pair in pairs:
        draft.add(pair)
        place.draw(draft)
    draft.finished = True
    place.draw(draft)

"""Choosing how a network draws what it writes."""

from dataclasses import dataclass

import streamlit as st

from dashboards.components.choices import remember


@dataclass(frozen=True)
class Drawing:
    """How to draw, how much, and from which seed."""

    temperature: float
    """Divides the logits; 0 takes the likeliest piece."""
    top_k: int | None
    """Draw among the k likeliest pieces only."""
    top_p: float | None
    """Draw among the likeliest pieces that together have this probability."""
    length: int
    """Number of pieces: bytes or tokens."""
    seed: int

    def described(self) -> str:
        """All of it in a few words."""
        cuts = {"top-k": self.top_k, "top-p": self.top_p}
        words = [f"{name} {cut:g}" for name, cut in cuts.items() if cut is not None]
        temperature = f"temperature {self.temperature:g}"
        return ", ".join([temperature, *words, f"length {self.length}", f"seed {self.seed}"])


def drawing_picker() -> Drawing:
    """Temperature, the two cuts of the distribution, length and seed, in one row."""
    columns = iter(st.columns(5))
    with next(columns):
        temperature = _slider("Temperature", "temperature", default=0.8, first=0, last=40)
    with next(columns):
        top_p = _slider("Top-p (1: all)", "top_p", default=1.0, first=1, last=20)
    with next(columns):
        top_k = _number("Top-k (0: all)", "top_k", default=0, first=0, last=100_000)
    with next(columns):
        length = _number("Length (tokens)", "length", default=200, first=1, last=2000)
    with next(columns):
        seed = _number("Seed", "seed", default=0, first=0, last=2**31 - 1)
    return Drawing(temperature, top_k or None, top_p if top_p < 1 else None, length, seed)


def _slider(label: str, name: str, *, default: float, first: int, last: int) -> float:
    """A number from first to last twentieths."""
    allowed = [step / 20 for step in range(first, last + 1)]
    key = remember(name, default, parse=float, allowed=allowed)
    return st.slider(label, allowed[0], allowed[-1], step=0.05, key=key)


def _number(label: str, name: str, *, default: int, first: int, last: int) -> int:
    key = remember(name, default, parse=int, allowed=range(first, last + 1))
    return int(st.number_input(label, first, last, step=1, key=key))

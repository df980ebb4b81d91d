"""The batch plan: which segments of which inputs are read together, and in what order.

A pure function of lengths and settings, so that a collection that was stopped replays it. Inputs
of like length go together, so that little is spent on padding; the batches are then shuffled, so
that any part of a store holds inputs of every length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from worldscope.activations.settings import ReadSettings

_FULL = 0.8
"""Segments that are read together are at least this share of the longest."""


@dataclass(frozen=True)
class Segment:
    """A stretch of one input that is read at once."""

    item: int
    """Which input, counted within its window."""
    start: int
    """Position of its first symbol in the input."""
    first: int
    """Position of the first symbol that no segment before has recorded."""
    end: int
    """One past its last position."""

    def __len__(self) -> int:
        return self.end - self.start


Batch = tuple[Segment, ...]
"""What is read in one forward pass, the longest first."""
Unit = tuple[Batch, ...]
"""Batches that hold all segments of some inputs: what a mean over positions needs."""


def plan_window(
    lengths: Int[np.ndarray, " items"],
    settings: ReadSettings,
    *,
    context: int | None,
    pads: bool = True,
    shapes: Sequence[object] | None = None,
    window: int = 0,
) -> list[Unit]:
    """The batches of one window, in the order in which they are read.

    Args:
        lengths: Positions of each input.
        settings: How to read.
        context: Largest number of positions that the network reads together, if there is one.
        pads: Whether inputs of different lengths can share a batch.
        shapes: What must be equal in a batch besides.
        window: Which window, for the order of its batches.
    """
    order = np.argsort(-lengths, kind="stable")
    kinds = [(None if pads else int(lengths[item]), shapes and shapes[item]) for item in order]
    units: list[Unit] = []
    held: list[Segment] = []
    for place, item in enumerate(order):
        segments = list(segments_of(int(item), int(lengths[item]), settings, context))
        size = sum(len(segment) for segment in (*held, *segments))
        if held and (size > settings.batch_positions or kinds[place] != kinds[place - 1]):
            units.append(_batches(held, settings.batch_positions))
            held = []
        held += segments
    if held:
        units.append(_batches(held, settings.batch_positions))
    shuffled = np.random.default_rng([settings.seed, window]).permutation(len(units))
    return [units[index] for index in shuffled]


def segments_of(
    item: int, length: int, settings: ReadSettings, context: int | None
) -> Iterator[Segment]:
    """The segments of an input: itself, if the network can read it at once."""
    if context is None or length <= context:
        yield Segment(item, 0, 0, length)
        return
    if settings.too_long == "cut":
        yield Segment(item, 0, 0, context)
        return
    kept = int(context * settings.overlap)
    first = 0
    while first < length:
        start = max(0, first - kept)
        end = min(start + context, length)
        yield Segment(item, start, first, end)
        first = end


def _batches(segments: Sequence[Segment], positions: int) -> Unit:
    """Segments in batches of at most so many positions, padding included."""
    batches: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda segment: (-len(segment), segment.item)):
        longest = len(batches[-1][0]) if batches else 0
        full = batches and (len(batches[-1]) + 1) * longest > positions
        if not batches or full or len(segment) < _FULL * longest:
            batches.append([])
        batches[-1].append(segment)
    return tuple(tuple(batch) for batch in batches)

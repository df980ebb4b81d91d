"""Ground truth for every position of an input, whatever level it is given at."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from worldscope.networks.codecs import Encoding
from worldscope.worlds.world import State


def label_positions(
    state: State, value: Any, length: int, encoding: Encoding | None
) -> Sequence[Any]:
    """The value of a state at every position of one input; None where there is none.

    A value of a whole input holds at all of its positions; values of positions are given for every
    position, or for every one that the codec did not add; the value of a span of characters holds
    at every symbol that overlaps it, the shortest span's where several do.

    Args:
        state: Which state.
        value: What the data holds for this input.
        length: Positions of the input.
        encoding: Where its symbols stand, if it is a text.

    Raises:
        ValueError: If there are more or fewer values than positions, or spans without a text.
    """
    if value is None:
        return [None] * length
    match state.level:
        case "sequence":
            return [value] * length
        case "position":
            return _of_positions(value, length, encoding)
        case "span":
            return _of_spans(value, encoding)


def choose_positions(value: Any, length: int, encoding: Encoding | None) -> Bool[np.ndarray, " n"]:
    """Which positions a column of the data asks for.

    Args:
        value: Positions (negative ones count from the end), or true and false for every position,
            or spans of characters as mappings with `start` and `end`.
        length: Positions of the input.
        encoding: Where its symbols stand, if it is a text.

    Raises:
        ValueError: If it is none of these, or asks for a position that is not there.
    """
    chosen = np.zeros(length, dtype=bool)
    if value is None or len(value) == 0:
        return chosen
    if isinstance(value[0], dict):
        return np.any([overlaps(span, _text_encoding(encoding)) for span in value], axis=0)
    if all(isinstance(flag, bool | np.bool_) for flag in value):
        return np.array(_of_positions(value, length, encoding, elsewhere=False), dtype=bool)
    for position in value:
        if not isinstance(position, int | np.integer) or not -length <= position < length:
            raise ValueError(
                f"it asks for position {position!r} of {length}; give whole numbers from 0 to "
                f"{length - 1}, true and false for each position, or spans with start and end"
            )
        chosen[position] = True
    return chosen


def overlaps(span: dict, encoding: Encoding) -> Bool[np.ndarray, " symbols"]:
    """Which symbols share a character with a span.

    Raises:
        ValueError: If the span has no start before its end.
    """
    start, end = span.get("start"), span.get("end")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end:
        raise ValueError(f"the span {span} needs a start and a later end, in characters")
    return ~encoding.special & (encoding.starts < end) & (encoding.ends > start)


def naming_row(row: int, make: Callable[[], Any]) -> Any:
    """What `make` gives; its `ValueError` says which row of the data it is about."""
    try:
        return make()
    except ValueError as error:
        raise ValueError(f"row {row} of the data: {error}") from None


def _of_positions(
    values: Sequence[Any], length: int, encoding: Encoding | None, elsewhere: Any = None
) -> Sequence[Any]:
    if len(values) == length:
        return list(values)
    own = length if encoding is None else int((~encoding.special).sum())
    if len(values) != own:
        added = f", or {own} without what the codec adds" if own != length else ""
        raise ValueError(
            f"there are {len(values)} values for {length} positions{added}; give one for each"
        )
    spread: list[Any] = [elsewhere] * length
    assert encoding is not None
    for place, value in zip(np.flatnonzero(~encoding.special), values, strict=True):
        spread[place] = value
    return spread


def _of_spans(spans: Sequence[dict], encoding: Encoding | None) -> Sequence[Any]:
    located = _text_encoding(encoding)
    values: list[Any] = [None] * len(located.symbols)
    longest_first = sorted(spans, key=lambda span: span["start"] - span["end"])
    for span in longest_first:
        for place in np.flatnonzero(overlaps(span, located)):
            values[place] = span["value"]
    return values


def _text_encoding(encoding: Encoding | None) -> Encoding:
    if encoding is None:
        raise ValueError("spans are of characters, but this network does not read text")
    return encoding

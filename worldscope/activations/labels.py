"""Ground truth for every position of an input, whatever level it is given at."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np
from jaxtyping import Bool

from worldscope.networks.codecs import Encoding
from worldscope.worlds.world import State


class Symbols(NamedTuple):
    """An input as symbols."""

    encoding: Encoding
    """Which symbols, and where they stand in the text."""
    text: str | None
    """What they were made of; None where the data holds the symbols themselves."""


def label_positions(
    state: State, value: Any, length: int, symbols: Symbols | None
) -> Sequence[Any]:
    """The value of a state at every position of one input; None where there is none.

    A value of a whole input holds at all of its positions; values of positions are given for every
    position, or for every one that the codec did not add; the value of a span of characters holds
    at every symbol that overlaps it. Where several spans do, the shortest decides, and of equally
    long ones that which begins last.

    Args:
        state: Which state.
        value: What the data holds for this input.
        length: Positions of the input.
        symbols: What is read, if it is symbols.

    Raises:
        ValueError: If there are more or fewer values than positions, a span is not within the text,
            has no value or two, or there are spans without a text.
    """
    if value is None:
        return [None] * length
    match state.level:
        case "sequence":
            return [value] * length
        case "position":
            return _of_positions(value, length, symbols)
        case "span":
            return _of_spans(value, length, symbols)


def choose_positions(value: Any, length: int, symbols: Symbols | None) -> Bool[np.ndarray, " n"]:
    """Which positions a column of the data asks for.

    Args:
        value: Positions, or true and false for every position (0 and 1 are positions), or spans of
            characters as mappings with `start` and `end`; one position or span needs no list.
        length: Positions of the input.
        symbols: What is read, if it is symbols.

    Raises:
        ValueError: If it is none of these, or asks for a position or character that is not there.
    """
    chosen = np.zeros(length, dtype=bool)
    asked = [] if value is None else _listed(value)
    if len(asked) and all(isinstance(flag, bool | np.bool_) for flag in asked):
        return np.array(_of_positions(asked, length, symbols, elsewhere=False), dtype=bool)
    for place in asked:
        if isinstance(place, Mapping):
            chosen |= overlaps(place, symbols)
        elif _is_whole(place) and 0 <= place < length:
            chosen[place] = True
        else:
            raise ValueError(
                f"it asks for {place!r:.60}; give positions of symbols as whole numbers from 0 to "
                f"{length - 1}, true or false for each position, or spans of characters as "
                '{"start": …, "end": …}'
            )
    return chosen


def overlaps(span: Mapping, symbols: Symbols | None) -> Bool[np.ndarray, " symbols"]:
    """Which symbols share a character with a span.

    Raises:
        ValueError: If there is no text, or the span does not lie in it, its start before its end.
    """
    if symbols is None or symbols.text is None:
        raise ValueError("spans are of characters, but this network does not read this as text")
    start, end, characters = span.get("start"), span.get("end"), len(symbols.text)
    if not _is_whole(start) or not _is_whole(end) or not 0 <= start < end <= characters:
        raise ValueError(
            f"the span {dict(span)} needs a start and a later end, in characters from 0 to "
            f"{characters}, the length of the text"
        )
    encoding = symbols.encoding
    return ~encoding.special & (encoding.starts < end) & (encoding.ends > start)


def naming_row(row: int, make: Callable[[], Any]) -> Any:
    """What `make` gives; its `ValueError` says which row of the data it is about."""
    try:
        return make()
    except ValueError as error:
        raise ValueError(f"row {row} of the data: {error}") from None


def _of_positions(
    values: Any, length: int, symbols: Symbols | None, elsewhere: Any = None
) -> Sequence[Any]:
    values = _listed(values)
    if len(values) == length:
        return list(values)
    own = np.arange(length) if symbols is None else np.flatnonzero(~symbols.encoding.special)
    if len(values) != len(own):
        added = f", or {len(own)} without what the codec adds" if len(own) != length else ""
        raise ValueError(
            f"there are {len(values)} values for {length} positions{added}; give one for each"
        )
    spread: list[Any] = [elsewhere] * length
    for place, value in zip(own, values, strict=True):
        spread[place] = value
    return spread


def _of_spans(spans: Any, length: int, symbols: Symbols | None) -> Sequence[Any]:
    found: dict[tuple[int, int], tuple[Bool[np.ndarray, " n"], Any]] = {}
    for span in _listed(spans):
        if not isinstance(span, Mapping) or "value" not in span:
            raise ValueError(f'{span!r:.80} is no {{"start": …, "end": …, "value": …}}')
        inside, value = overlaps(span, symbols), span["value"]
        stretch = span["start"], span["end"]
        other = found.get(stretch, (inside, value))[1]
        if repr(other) != repr(value):  # nan is nan
            raise ValueError(
                f"the span {dict(span)} has another value too, {other!r:.60}; give one of the two"
            )
        found[stretch] = inside, value
    values: list[Any] = [None] * length
    for stretch in sorted(found, key=_longest_first):
        inside, value = found[stretch]
        for place in np.flatnonzero(inside):
            values[place] = value
    return values


def _longest_first(stretch: tuple[int, int]) -> tuple[int, int]:
    start, end = stretch
    return start - end, start


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _listed(value: Any) -> Sequence[Any]:
    """A list as it is, and anything else as a list of one."""
    is_list = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str)
    return value if is_list else [value]  # pyright: ignore[reportReturnType]

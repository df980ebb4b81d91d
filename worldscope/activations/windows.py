"""Some inputs as a network reads them, and which of their positions become rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from worldscope.activations.inputs import Inputs, Window
from worldscope.activations.labels import (
    Symbols,
    choose_positions,
    label_positions,
    naming_row,
)
from worldscope.activations.settings import ReadSettings
from worldscope.networks.codecs import NOWHERE, Encoding
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.language_model import LanguageModel
from worldscope.worlds.world import State

Position = tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]
"""Which input of the window, and which of its positions; −1 for the mean of all."""
_COLUMNS = ("row", "group", "sequence", "position", "symbol", "text_start", "text_end")
"""Names of what is known of every row, besides its labels."""
_HOLDS = {
    "binary": "0 and 1",
    "categorical": "whole numbers",
    "scalar": "numbers",
    "circular": "numbers",
    "vector": "lists of numbers",
}
"""What the values of a state of each kind are."""


@dataclass(frozen=True)
class EncodedWindow:
    """Encoded inputs with what is known of each of their positions."""

    first: int
    """Index of the first input in the data."""
    items: list[Tensor]
    """Encoded inputs."""
    lengths: Int[np.ndarray, " items"]
    """Positions of each."""
    wanted: list[Bool[np.ndarray, " _"]]
    """Positions that become rows; for a mean, that it is taken over."""
    groups: pa.Array
    symbols: list[Symbols | None]
    """What is read, if it is symbols."""
    labels: dict[str, pa.Array]
    """Ground truth: of inputs or, one input after the other, of positions."""
    by_input: frozenset[str]
    """Names of the labels that are of inputs."""

    def table(self, rows: Position) -> pa.Table:
        """What is known of some rows: group, sequence, position, symbol, place in the text, labels.

        Args:
            rows: Input and position of each row.
        """
        item, position = rows
        starts = np.concatenate([[0], np.cumsum(self.lengths)])[item]
        flat = pa.array(starts + position, mask=position < 0)
        columns: dict[str, Any] = {
            "group": self.groups.take(pa.array(item)),
            "sequence": pa.array(item + self.first, pa.int64()),
            "position": pa.array(position, pa.int32(), mask=position < 0),
        }
        columns |= {name: column.take(flat) for name, column in self._symbols.items()}
        for name, values in self.labels.items():
            columns[name] = values.take(pa.array(item) if name in self.by_input else flat)
        return pa.table(columns)

    @cached_property
    def _symbols(self) -> dict[str, pa.Array]:
        """Symbol and place in the text of every position; nothing where no symbols are read."""
        encodings = [symbols.encoding for symbols in self.symbols if symbols is not None]
        if not encodings:
            return {}
        starts = np.concatenate([encoding.starts for encoding in encodings])
        ends = np.concatenate([encoding.ends for encoding in encodings])
        symbols = np.concatenate([encoding.symbols for encoding in encodings])
        return {
            "symbol": pa.array(symbols, pa.int32()),
            "text_start": pa.array(starts, pa.int32(), mask=starts == NOWHERE),
            "text_end": pa.array(ends, pa.int32(), mask=ends == NOWHERE),
        }


def encode_window(
    network: HookedNetwork,
    inputs: Inputs,
    window: Window,
    names: Sequence[str],
    settings: ReadSettings,
    types: dict[str, pa.DataType],
) -> EncodedWindow:
    """Encodes some inputs.

    Args:
        network: What reads them.
        inputs: All of the data.
        window: The rows to encode.
        names: Hooks that will be read.
        settings: Which positions become rows.
        types: Type of each label.

    Raises:
        ValueError: If an input cannot be read, its labels do not fit its positions, or it chooses
            positions that are not read; the row of the data is named. Also for a mean, which labels
            of positions or spans say nothing of.
    """
    if settings.positions == "mean":
        _refuse_parts(inputs.states)
    symbols = _symbols(network, window)
    items = [
        naming_row(window.first + place, lambda v=value: _encode(network, v))
        if known is None
        else torch.from_numpy(np.array(known.encoding.symbols, dtype=np.int64))
        for place, (value, known) in enumerate(zip(window.values, symbols, strict=True))
    ]
    lengths = np.array([network.positions(item, names) for item in items])
    read = lengths
    if settings.too_long == "cut" and network.context is not None:
        read = np.minimum(lengths, network.context)
    chosen = window.columns.get(settings.column) if settings.column else None
    wanted = [
        naming_row(
            window.first + place,
            lambda p=place: _wanted(
                settings,
                int(lengths[p]),
                int(read[p]),
                symbols[p],
                None if chosen is None else chosen[p],
            ),
        )
        for place in range(len(items))
    ]
    labels = {
        state.name: labels_of(state, window, lengths, symbols, types[state.name])
        for state in inputs.states
    }
    by_input = frozenset(state.name for state in inputs.states if state.level == "sequence")
    groups = pa.array(window.groups, pa.string())
    return EncodedWindow(window.first, items, lengths, wanted, groups, symbols, labels, by_input)


def check_names(states: Sequence[State], hooks: Sequence[str]) -> None:
    """Raises:
    ValueError: If a state is called as something else of every row is.
    """
    for state in states:
        if state.name in (*_COLUMNS, *hooks):
            raise ValueError(
                f"a state is called {state.name!r}, as is something else of every row "
                f"({', '.join(_COLUMNS)} or a hook); rename its column"
            )


def _refuse_parts(states: Sequence[State]) -> None:
    for state in states:
        if state.level != "sequence":
            raise ValueError(
                f"the state {state.name!r} is known of each {state.level}, and a mean is over "
                "many: take it out of the world's states, or choose other positions than mean"
            )


def label_type(state: State) -> pa.DataType:
    """How a store holds the values of a state."""
    match state.kind:
        case "binary" | "categorical":
            return pa.int64()
        case "scalar" | "circular":
            return pa.float64()
        case "vector":
            return pa.list_(pa.float64())


def _symbols(network: HookedNetwork, window: Window) -> list[Symbols | None]:
    """The symbols of each input; None where the network reads something else."""
    if not isinstance(network, LanguageModel):
        return [None] * len(window.values)
    codec = network.codec
    texts = {place: text for place, text in enumerate(window.values) if isinstance(text, str)}
    try:
        located = dict(zip(texts, codec.locate_all(list(texts.values())), strict=True))
    except ValueError:
        located = {
            place: naming_row(window.first + place, lambda t=text: codec.locate(t))
            for place, text in texts.items()
        }
    return [
        Symbols(located[place], value)
        if place in located
        else naming_row(window.first + place, lambda v=value: _without_text(network, v))
        for place, value in enumerate(window.values)
    ]


def _without_text(network: HookedNetwork, value: Any) -> Symbols:
    symbols = _encode(network, value)
    nowhere = np.full(len(symbols), NOWHERE)
    encoding = Encoding(symbols.tolist(), nowhere, nowhere, np.zeros(len(symbols), dtype=bool))
    return Symbols(encoding, None)


def _encode(network: HookedNetwork, value: Any) -> Tensor:
    item = torch.as_tensor(network.encode(value))
    if len(item) == 0:
        raise ValueError("the input is empty; give at least one position")
    return item


def _wanted(
    settings: ReadSettings, length: int, read: int, symbols: Symbols | None, chosen: Any
) -> Bool[np.ndarray, " positions"]:
    wanted = np.ones(length, dtype=bool)
    if settings.column is not None:
        wanted = choose_positions(chosen, length, symbols)
    wanted &= np.arange(length) % settings.every == 0
    if settings.specials == "drop" and symbols is not None:
        wanted &= ~symbols.encoding.special
    if settings.column is not None and wanted[read:].any():
        raise ValueError(
            f"{settings.column!r} chooses position {read + int(wanted[read:].argmax())}, and only "
            f"the first {read} are read: choose among these, or read all with too_long='split'"
        )
    wanted[read:] = False
    if settings.positions == "last":
        wanted[: np.flatnonzero(wanted)[-1:].sum()] = False
    return wanted


def labels_of(
    state: State,
    window: Window,
    lengths: Int[np.ndarray, " items"],
    symbols: Sequence[Symbols | None],
    type_: pa.DataType,
) -> pa.Array:
    """Ground truth of some inputs or, one input after the other, of their positions.

    Args:
        state: Which state; of whole inputs, it needs neither lengths nor symbols.
        window: The inputs.
        lengths: Positions of each.
        symbols: What is read of each, if it is symbols.
        type_: What holds the values.

    Raises:
        ValueError: If a value is not of the kind of the state or does not fit; its row is named.
    """

    def of_input(place: int) -> pa.Array:
        value = window.columns[state.name][place]
        if state.level == "sequence":
            return _typed(state, [value], type_)
        spread = label_positions(state, value, int(lengths[place]), symbols[place])
        return _typed(state, spread, type_)

    rows = range(len(window.values))
    return pa.concat_arrays(
        [naming_row(window.first + place, lambda p=place: of_input(p)) for place in rows]
    )


def _typed(state: State, values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    whole = pa.types.is_integer(type_)
    try:
        array = pa.array([_whole(state, value) for value in values] if whole else values, type_)
        if state.kind == "vector" and array.flatten().null_count:
            raise ValueError
        return array
    except (ValueError, TypeError, OverflowError):
        raise ValueError(
            f"the state {state.name!r} holds {values!r:.60}, which is not {state.kind}; give "
            f"{_holds(state)}, and null where nothing is known"
        ) from None


def _whole(state: State, value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or value % 1:
        raise ValueError
    if state.kind == "binary" and value not in (0, 1):
        raise ValueError
    if state.kind == "categorical" and state.classes and value not in range(len(state.classes)):
        raise ValueError
    return int(value)


def _holds(state: State) -> str:
    if state.kind == "categorical" and state.classes:
        return f"whole numbers from 0 to {len(state.classes) - 1}, one for each of its classes"
    return _HOLDS[state.kind]

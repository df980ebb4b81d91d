"""Some inputs as a network reads them, and which of their positions become rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from worldscope.activations.inputs import Inputs, Window
from worldscope.activations.labels import choose_positions, label_positions, naming_row
from worldscope.activations.settings import ReadSettings
from worldscope.networks.codecs import NOWHERE, Encoding
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.language_model import LanguageModel
from worldscope.worlds.world import State

Position = tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]
"""Which input of the window, and which of its positions; −1 for the mean of all."""


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
    located: list[Encoding | None]
    """Where the symbols of texts stand."""
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
        columns |= {name: column.take(flat) for name, column in self._symbols().items()}
        for name, values in self.labels.items():
            columns[name] = values.take(pa.array(item) if name in self.by_input else flat)
        return pa.table(columns)

    def _symbols(self) -> dict[str, pa.Array]:
        """Symbol and place in the text of every position; nothing where no text is read."""
        texts = [encoding for encoding in self.located if encoding is not None]
        if not texts:
            return {}
        starts = np.concatenate([encoding.starts for encoding in texts])
        ends = np.concatenate([encoding.ends for encoding in texts])
        symbols = np.concatenate([encoding.symbols for encoding in texts])
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
        ValueError: If an input cannot be read, or its labels do not fit its positions; the row of
            the data is named.
    """
    located = _locate_texts(network, window)
    items = [
        naming_row(window.first + place, lambda v=value: _encode(network, v))
        if encoding is None
        else torch.tensor(encoding.symbols)
        for place, (value, encoding) in enumerate(zip(window.values, located, strict=True))
    ]
    lengths = np.array([network.positions(item, names) for item in items])
    chosen = window.columns.get(settings.column) if settings.column else None
    wanted = [
        naming_row(
            window.first + place,
            lambda p=place: _wanted(
                settings, int(lengths[p]), located[p], None if chosen is None else chosen[p]
            ),
        )
        for place in range(len(items))
    ]
    labels = {
        state.name: _labels(state, window, lengths, located, types[state.name])
        for state in inputs.states
    }
    by_input = frozenset(state.name for state in inputs.states if state.level == "sequence")
    groups = pa.array(window.groups, pa.string())
    return EncodedWindow(window.first, items, lengths, wanted, groups, located, labels, by_input)


def label_type(state: State) -> pa.DataType:
    """How a store holds the values of a state."""
    match state.kind:
        case "binary" | "categorical":
            return pa.int64()
        case "scalar" | "circular":
            return pa.float64()
        case "vector":
            return pa.list_(pa.float64())


def _locate_texts(network: HookedNetwork, window: Window) -> list[Encoding | None]:
    """Symbols of texts and where they stand; None for what is no text."""
    texts = [value for value in window.values if isinstance(value, str)]
    if not isinstance(network, LanguageModel) or len(texts) < len(window.values):
        return [None] * len(window.values)
    codec = network.codec
    try:
        return list(codec.locate_all(texts))
    except ValueError:
        return [
            naming_row(window.first + place, lambda t=text: codec.locate(t))
            for place, text in enumerate(texts)
        ]


def _encode(network: HookedNetwork, value: Any) -> Tensor:
    item = torch.as_tensor(network.encode(value))
    if item.ndim == 0 or len(item) == 0:
        raise ValueError("the input is empty; give at least one position")
    return item


def _wanted(
    settings: ReadSettings, length: int, encoding: Encoding | None, chosen: Any
) -> Bool[np.ndarray, " positions"]:
    wanted = np.ones(length, dtype=bool)
    if settings.column is not None:
        wanted = choose_positions(chosen, length, encoding)
    wanted &= np.arange(length) % settings.every == 0
    if settings.specials == "drop" and encoding is not None:
        wanted &= ~encoding.special
    if settings.positions == "last":
        wanted[: np.flatnonzero(wanted)[-1:].sum()] = False
    return wanted


def _labels(
    state: State,
    window: Window,
    lengths: Int[np.ndarray, " items"],
    located: Sequence[Encoding | None],
    type_: pa.DataType,
) -> pa.Array:
    values = window.columns[state.name]
    if state.level == "sequence":
        return pa.array(values, type_)
    flat: list[Any] = []
    for place, value in enumerate(values):
        flat += naming_row(
            window.first + place,
            lambda p=place, v=value: label_positions(state, v, int(lengths[p]), located[p]),
        )
    return pa.array(flat, type_)

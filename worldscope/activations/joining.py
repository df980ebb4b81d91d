"""A store beside the data that it was read from: is every row of it, and what else is known of it.

What is known of the rows is made again from the data, window by window, and must be what the store
says; nothing is read by the network. Without its codec, this is what is known of whole inputs.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from worldscope.activations.inputs import Data, Inputs, Window, as_inputs
from worldscope.activations.settings import ReadSettings
from worldscope.activations.windows import (
    Position,
    check_names,
    encode_window,
    label_type,
    labels_of,
)
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.language_model import LanguageModel
from worldscope.worlds.world import World

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore


def check_rows(store: "ActivationStore", data: Data, network: HookedNetwork | None) -> None:
    """See `ActivationStore.check`."""
    inputs = as_inputs(data)
    _check_source(store, inputs, network)
    for _ in _made_again(store, inputs, network):
        pass


def join_labels(store: "ActivationStore", world: Data, network: HookedNetwork | None) -> pa.Table:
    """See `ActivationStore.join`."""
    if not isinstance(world, World):
        raise ValueError(
            f"labels are joined from a world, and this is a {type(world).__name__}: give "
            "ws.World(name, dataset, input_column, group_column, states)"
        )
    inputs = as_inputs(world)
    _check_source(store, inputs, network)
    check_names(inputs.states, store.hooks)
    new = [state for state in inputs.states if state.name not in store.columns]
    if not new:
        raise ValueError(f"the store has all that {world.name!r} says of its rows already")
    for state in new:
        if network is None and state.level != "sequence":
            raise ValueError(
                f"{state.name!r} is known of each {state.level}: give the network that was "
                "collected from, whose codec says which rows these are"
            )
    names = [state.name for state in new]
    return pa.concat_tables(table.select(names) for table in _made_again(store, inputs, network))


def _check_source(store: "ActivationStore", inputs: Inputs, network: HookedNetwork | None) -> None:
    source, notes = store.manifest.source, store.manifest.notes
    compared: list[tuple[str, Any, Any]] = [
        ("number of inputs", source.inputs, len(inputs)),
        ("digest of the inputs", notes.get("inputs"), inputs.digests().inputs),
    ]
    if network is not None:
        codec = network.codec.digest if isinstance(network, LanguageModel) else None
        compared.append(("digest of the codec", source.codec, codec))
    for what, own, given in compared:
        if own != given:
            raise ValueError(
                f"{store.folder} was read from something else: its {what} is {own}, not {given}; "
                "give what was collected from"
            )


def _made_again(
    store: "ActivationStore", inputs: Inputs, network: HookedNetwork | None
) -> Iterator[pa.Table]:
    """What is known of the rows, a window of inputs at a time, in the order of the store."""
    settings = ReadSettings(**store.manifest.source.settings)
    types = {state.name: label_type(state) for state in inputs.states}
    windows = _window_of_rows(store, settings.window)
    for number in range(-(-len(inputs) // settings.window)):
        start, stop = (int(row) for row in np.searchsorted(windows, (number, number + 1)))
        stored = store.rows(start=start, stop=stop)
        some = inputs.window(number * settings.window, settings.window)
        items = stored["sequence"].to_numpy() - some.first
        positions = stored["position"].fill_null(-1).to_numpy()
        if network is None:
            _check_texts(store, start, some, items, stored)
            made = _of_inputs(inputs, some, items, types)
        else:
            window = encode_window(network, inputs, some, store.hooks, settings, types)
            _check_positions(store, start, (items, positions), window.lengths)
            made = window.table((items, positions))
        for name in made.column_names:
            if name in stored.column_names:
                _check_equal(store, start, name, stored[name], made[name])
        yield made


def _window_of_rows(store: "ActivationStore", size: int) -> Int[np.ndarray, " rows"]:
    """Which window of inputs each row is of; it does not fall from row to row."""
    sequence = store.labels("sequence")
    windows = sequence // size
    beyond = np.flatnonzero((sequence < 0) | (sequence >= store.manifest.source.inputs))
    if len(beyond):
        raise ValueError(
            f"row {beyond[0]} of {store.folder} is of input {sequence[beyond[0]]}, and there are "
            f"{store.manifest.source.inputs}; collect again"
        )
    falls = np.flatnonzero(np.diff(windows) < 0)
    if len(falls):
        row = int(falls[0])
        raise ValueError(
            f"rows {row} and {row + 1} of {store.folder} are of inputs {sequence[row]} and "
            f"{sequence[row + 1]}, which are not read in this order; collect again"
        )
    return windows


def _of_inputs(
    inputs: Inputs, window: Window, items: Int[np.ndarray, " rows"], types: dict[str, pa.DataType]
) -> pa.Table:
    """What is known of the whole inputs of some rows."""
    columns = {"group": pa.array(window.groups, pa.string())}
    for state in inputs.states:
        if state.level == "sequence":
            none = np.zeros(len(window.values), dtype=int)
            columns[state.name] = labels_of(state, window, none, (), types[state.name])
    return pa.table({name: values.take(pa.array(items)) for name, values in columns.items()})


def _check_texts(
    store: "ActivationStore",
    start: int,
    window: Window,
    items: Int[np.ndarray, " rows"],
    stored: pa.Table,
) -> None:
    """Refuses a row whose characters do not lie in its text."""
    if "text_start" not in stored.column_names:
        return
    lengths = np.array([len(value) for value in window.values])[items]
    first, end = (stored[name].fill_null(0).to_numpy() for name in ("text_start", "text_end"))
    somewhere = stored["text_start"].is_valid().to_numpy()
    wrong = somewhere & ~((first >= 0) & (first < end) & (end <= lengths))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"row {start + row} of {store.folder} is of characters {first[row]} to {end[row]} of "
            f"a text of {lengths[row]}; collect again"
        )


def _check_positions(
    store: "ActivationStore", start: int, rows: Position, lengths: Int[np.ndarray, " items"]
) -> None:
    items, positions = rows
    lengths = lengths[items]
    if len(beyond := np.flatnonzero(positions >= lengths)):
        row = int(beyond[0])
        raise ValueError(
            f"row {start + row} of {store.folder} is of position {positions[row]}, and its input "
            f"has {lengths[row]}; collect again"
        )


def _check_equal(
    store: "ActivationStore",
    start: int,
    name: str,
    stored: pa.ChunkedArray,
    made: pa.ChunkedArray,
) -> None:
    if stored.equals(made):
        return
    for row, (own, given) in enumerate(
        zip(stored.to_pylist(), made.to_pylist(), strict=True), start=start
    ):
        if repr(own) != repr(given):  # nan is nan
            raise ValueError(
                f"row {row} of {store.folder} has {name} {own!r}, and the data says {given!r}; "
                "collect again"
            )

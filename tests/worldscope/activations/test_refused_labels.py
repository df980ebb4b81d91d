"""Labels and positions that would get lost are refused, and overlapping spans have one rule."""

import re
from dataclasses import replace

import pytest
from datasets import Dataset

from worldscope.activations.stream import stream_activations
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer
from worldscope.worlds.world import State, World

HOOK = "lstm.0.hook_c"


def labels(network: MLSTM, world: World, name: str, **settings: str) -> list:
    batches = stream_activations(network, world, HOOK, **settings)  # pyright: ignore
    return [value for batch in batches for value in batch.table()[name].to_pylist()]


def one(text: str, state: State, value: object) -> World:
    dataset = Dataset.from_dict({"text": [text], "film": ["a"], state.name: [value]})
    return World("one", dataset, "text", "film", (state,))


@pytest.mark.parametrize(("name", "level"), [("vowel", "position"), ("first_a", "span")])
def test_a_mean_refuses_labels_of_parts(
    network: MLSTM, world: World, name: str, level: str
) -> None:
    part = replace(world, states=tuple(state for state in world.states if state.name == name))
    with pytest.raises(ValueError, match=f"'{name}' is known of each {level}, and a mean is over"):
        labels(network, part, name, positions="mean")


def test_a_chosen_position_beyond_a_cut_is_refused(gpt: Transformer) -> None:
    dataset = Dataset.from_dict({"text": ["a" * 30], "film": ["a"], "at": [[3, 20]]})
    world = World("one", dataset, "text", "film", ())
    with pytest.raises(ValueError, match="row 0 .*'?at'? chooses position 20, and only the first"):
        list(stream_activations(gpt, world, "blocks.0.hook_out", positions="column:at",
                                too_long="cut"))  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_of_overlapping_spans_the_shortest_decides_and_then_the_last(
    network: MLSTM, order: int
) -> None:
    spans = [
        {"start": 0, "end": 6, "value": 0},
        {"start": 1, "end": 4, "value": 1},
        {"start": 2, "end": 5, "value": 2},
    ][::order]
    state = State("part", "categorical", "span", classes=("x", "y", "z"))
    found = labels(network, one("abcdef", state, spans), "part", specials="drop")
    assert found == [0, 1, 2, 2, 2, 0]


def test_a_span_with_two_values_is_refused(network: MLSTM) -> None:
    spans = [{"start": 1, "end": 3, "value": value} for value in (0, 1)]
    with pytest.raises(ValueError, match="row 0 .*has another value too, 0; give one of the two"):
        labels(network, one("abcdef", State("part", "binary", "span"), spans), "part")


@pytest.mark.parametrize("value", [2, -1])
def test_a_class_that_is_not_declared_is_refused(network: MLSTM, value: int) -> None:
    state = State("genre", "categorical", classes=("drama", "comedy"))
    said = re.escape("not categorical; give whole numbers from 0 to 1, one for each of its classes")
    with pytest.raises(ValueError, match=f"row 0 .*{said}"):
        labels(network, one("abcdef", state, value), "genre")

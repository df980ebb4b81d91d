"""What a store says of its states."""

from pathlib import Path

from datasets import Dataset

from worldscope.activations.collect import collect
from worldscope.activations.describe import describe_store
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.world import State, World


def test_states_are_told_with_their_classes_and_how_many_rows_are_known(
    network: MLSTM, tmp_path: Path
) -> None:
    rows = {
        "text": ["ab", "c", "d"],
        "film": ["x", "y", "z"],
        "genre": [1, None, 0],
        "age": [1.5] * 3,
    }
    states = (State("genre", "categorical", classes=("drama", "comedy")), State("age", "scalar"))
    world = World("films", Dataset.from_dict(rows), "text", "film", states)
    said = describe_store(collect(network, world, "hook_c", tmp_path, positions="last"))
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "state genre categorical (drama, comedy), known of each sequence, 2 rows" in lines
    assert "state age scalar, known of each sequence, 3 rows" in lines

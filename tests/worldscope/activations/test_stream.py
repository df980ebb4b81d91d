"""Streamed rows are those of a store, and digests tell data apart."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from worldscope.activations.collect import collect
from worldscope.activations.inputs import as_inputs
from worldscope.activations.stream import stream_activations
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.world import World


@pytest.mark.parametrize("positions", ["all", "mean"])
def test_a_stream_gives_the_rows_of_a_store_in_its_order(
    network: MLSTM, world: World, tmp_path: Path, positions: str
) -> None:
    settings = {"positions": positions, "window": 10, "dtype": "bfloat16"}
    store = collect(network, world, "hook_c", tmp_path, **settings)
    batches = list(stream_activations(network, world, "hook_c", **settings))
    acts = torch.cat([batch.acts["lstm.0.hook_c"] for batch in batches])
    torch.testing.assert_close(acts, store.acts(), rtol=0, atol=0)
    assert pa.concat_tables([batch.table() for batch in batches]) == store.rows()


def test_wrong_settings_are_said_before_the_first_batch(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="positions is 'x'"):
        stream_activations(network, ["a"], "hook_c", positions="x")


def test_the_digest_tells_inputs_groups_and_labels_apart(world: World) -> None:
    digest = as_inputs(world).digest()
    assert digest == as_inputs(world).digest()
    for column, value in (("text", "z"), ("film", "z"), ("mood", 0), ("place", [0.0, 9.0])):
        rows = world.dataset.map(
            lambda row, i, c=column, v=value: {c: v} if i == 7 else {}, with_indices=True
        )  # noqa: E501
        other = World(world.name, rows, world.input_column, world.group_column, world.states)
        assert as_inputs(other).digest() != digest, column


def test_joined_texts_and_shaped_arrays_have_digests_of_their_own() -> None:
    def digest(data: list) -> str:
        return as_inputs(data).digest()

    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest([np.zeros((2, 3))]) != digest([np.zeros((3, 2))])
    assert digest([np.zeros(4, np.float32)]) != digest([np.zeros(2, np.float64)])

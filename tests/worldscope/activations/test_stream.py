"""Streamed rows are those of a store."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from worldscope.activations.collect import collect
from worldscope.activations.stream import stream_activations
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.world import World


@pytest.mark.parametrize("positions", ["all", "mean"])
def test_a_stream_gives_the_rows_of_a_store_in_its_order(
    network: MLSTM, world_of_texts: World, tmp_path: Path, positions: str
) -> None:
    world = world_of_texts
    settings = {"positions": positions, "window": 10, "dtype": "bfloat16"}
    store = collect(network, world, "hook_c", tmp_path, **settings)
    batches = list(stream_activations(network, world, "hook_c", **settings))
    acts = torch.cat([batch.acts["lstm.0.hook_c"] for batch in batches])
    torch.testing.assert_close(acts, store.acts(), rtol=0, atol=0)
    assert pa.concat_tables([batch.table() for batch in batches]) == store.rows()


def test_wrong_settings_are_said_before_the_first_batch(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="positions is 'x'"):
        stream_activations(network, ["a"], "hook_c", positions="x")

"""Small random networks, and a world whose labels are at every level."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore
    from worldscope.networks.mlstm import MLSTM
    from worldscope.networks.transformer import Transformer
    from worldscope.worlds.world import World


@pytest.fixture(scope="session")
def network() -> "MLSTM":
    """Five units over bytes."""
    from worldscope.networks.loading import new_mlstm

    return new_mlstm(d_hidden=5, d_embed=4).requires_grad_(False).eval()


@pytest.fixture(scope="session")
def gpt() -> "Transformer":
    """Two blocks over bytes with a context of twelve."""
    from worldscope.networks.codecs import BytesCodec
    from worldscope.networks.transformer import Transformer, TransformerConfig

    config = TransformerConfig(256, d_model=8, n_layers=2, n_heads=2, n_ctx=12, codec="bytes")
    return Transformer(config, BytesCodec()).requires_grad_(False).eval()


@pytest.fixture(scope="session")
def world_of_texts(world: "World") -> "World":
    """The same with the labels of whole texts alone, as a mean asks for."""
    from dataclasses import replace

    of_texts = tuple(state for state in world.states if state.level == "sequence")
    return replace(world, states=of_texts)


@pytest.fixture(scope="session")
def world() -> "World":
    """Forty texts of three groups; labels of texts, of characters, of spans, and vectors."""
    import random

    from datasets import Dataset

    from worldscope.worlds.world import State, World

    draw = random.Random(3)
    texts = [
        "".join(draw.choices("abé &c", k=draw.randint(1, 40))).strip() or "a" for _ in range(40)
    ]
    rows = {
        "text": texts,
        "film": [f"film {index % 3}" for index in range(40)],
        "mood": [None if index % 5 == 0 else index % 2 for index in range(40)],
        "vowel": [[int(byte == ord("a")) for byte in text.encode()] for text in texts],
        "place": [[float(index), index / 2] for index in range(40)],
        "first_a": [
            [{"start": text.index("a"), "end": text.index("a") + 1, "value": 1}]
            if "a" in text
            else []
            for text in texts
        ],
        "ends": [[0, len(text.encode()) + 2] for text in texts],
    }
    states = (
        State("mood", "binary"),
        State("vowel", "binary", "position"),
        State("place", "vector"),
        State("first_a", "binary", "span"),
    )
    return World("letters", Dataset.from_dict(rows), "text", "film", states)


@pytest.fixture(scope="module")
def store(
    network: "MLSTM", world: "World", tmp_path_factory: pytest.TempPathFactory
) -> "ActivationStore":
    """About a thousand rows of two hooks in several shards."""
    from worldscope.activations.collect import collect

    folder = tmp_path_factory.mktemp("store")
    hooks = ["lstm.0.hook_c", "lstm.0.hook_h"]
    return collect(network, world, hooks, folder, shard_mb=0.008, window=16, batch_positions=64)

"""Small random networks for the tests of networks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

if TYPE_CHECKING:
    from worldscope.networks.codecs import BPECodec
    from worldscope.networks.mlstm import MLSTM

TEXTS = [
    "A lovely little film, and I loved every minute of it.",
    "Dull, dull, dull; I left before the end.",
    "The café scenes are the best thing in it.",
]


@pytest.fixture
def network() -> "MLSTM":
    """Six units over bytes, with gains and biases away from their special initial values."""
    from worldscope.networks.loading import new_mlstm

    network = new_mlstm(d_hidden=6, d_embed=5, seed=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.requires_grad_(False).eval()


@pytest.fixture(scope="session")
def bpe() -> "BPECodec":
    """Up to three hundred byte-pair pieces."""
    from worldscope.networks.codecs import BPECodec

    return BPECodec.train(TEXTS * 3, n_symbols=300)


@pytest.fixture
def bert() -> Any:
    """An encoder of Hugging Face, two layers of sixteen units over forty symbols."""
    import transformers

    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=32,
    )  # fmt: skip
    return transformers.BertModel(config).eval()


@pytest.fixture
def masked() -> Callable[[Tensor, np.ndarray], dict[str, Any]]:
    """Its attention mask, as `wrap` takes it by `keywords`."""
    return lambda batch, lengths: {"attention_mask": np.arange(batch.shape[1]) < lengths[:, None]}

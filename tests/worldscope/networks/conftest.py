"""Small random networks for the tests of networks."""

from typing import TYPE_CHECKING

import pytest
import torch

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

"""A transformer of ours is the same network as a Hugging Face GPT-2."""

from pathlib import Path

import torch

from worldscope.networks.codecs import BytesCodec
from worldscope.networks.gpt2 import to_gpt2
from worldscope.networks.transformer import Transformer, TransformerConfig


def test_logits_are_equal_also_after_a_trip_to_disk(tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    config = TransformerConfig(256, d_model=16, n_layers=2, n_heads=2, n_ctx=12, codec="bytes")
    network = Transformer(config, BytesCodec())
    with torch.no_grad():
        for parameter in network.parameters():  # norms and biases too are then no identity
            parameter.add_(0.1 * torch.randn_like(parameter))
    symbols = torch.randint(0, 256, (3, 12))
    ours = network.logits(symbols).detach()
    theirs = to_gpt2(network)
    assert not any(
        p.data_ptr() == q.data_ptr() for p in network.parameters() for q in theirs.parameters()
    )
    torch.testing.assert_close(theirs(symbols).logits, ours, rtol=0, atol=1e-5)
    theirs.save_pretrained(tmp_path)
    read = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(read(symbols).logits, ours, rtol=0, atol=1e-5)

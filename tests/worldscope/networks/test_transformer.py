"""Facts about the transformer: the fused pass is the bridge's, and it can be trained and kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from worldscope.networks.codecs import BPECodec, BytesCodec
from worldscope.networks.corpus import pack
from worldscope.networks.loading import load_network, save_network
from worldscope.networks.train_config import TRANSFORMER
from worldscope.networks.training import Progress, Trainer
from worldscope.networks.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(256, d_model=16, n_layers=2, n_heads=2, n_ctx=12, codec="bytes")
TRAINING = replace(TRANSFORMER, total_bytes=4 * 12 * 20, batch=4, chunk=12, warmup_steps=4, lr=0.01)
TEXTS = ["good film. " * 8, "bad film! " * 9, "a good, good book. " * 5]


@pytest.fixture
def gpt() -> Transformer:
    return Transformer(CONFIG, BytesCodec())


def random_symbols(length: int = 12) -> torch.Tensor:
    return torch.randint(0, 256, (3, length))


def test_the_fused_pass_gives_what_the_bridge_gives_and_the_same_gradients(
    gpt: Transformer,
) -> None:
    symbols = random_symbols()
    torch.testing.assert_close(gpt.logits(symbols), gpt.bridge(symbols), rtol=0, atol=1e-5)
    parameters = list(gpt.parameters())
    assert len(parameters) == 2 + 2 * 16 + 3
    fused, _ = gpt.training_loss(symbols, ())
    slow = functional.cross_entropy(
        gpt.bridge(symbols[:, :-1]).flatten(0, 1), symbols[:, 1:].flatten()
    )
    for ours, theirs in zip(
        torch.autograd.grad(fused, parameters), torch.autograd.grad(slow, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_no_symbol_is_known_before_it_is_read(gpt: Transformer) -> None:
    symbols = random_symbols()
    changed = symbols.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 256
    before, after = gpt.logits(symbols), gpt.logits(changed)
    torch.testing.assert_close(before[:, :7], after[:, :7], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 7], after[:, 7])


@pytest.mark.parametrize("length", [2, 7, 12, 13, 14, 18, 19, 20, 50])
def test_the_loss_of_a_stream_counts_every_symbol_once_with_half_of_the_context(
    gpt: Transformer, length: int
) -> None:
    streams = random_symbols(length)
    total = 0.0
    for place in range(1, length):
        start = 0 if place <= 12 else place - 6 - (place - 13) % 7
        logits = gpt.bridge(streams[:, start:place])[:, -1]
        total += functional.cross_entropy(logits, streams[:, place], reduction="sum").item()
    assert gpt.stream_nats(streams) == pytest.approx(total, rel=1e-5)


def test_more_than_the_context_is_refused_in_one_sentence(gpt: Transformer) -> None:
    with pytest.raises(ValueError, match="13 symbols are more than the 12 that this network can"):
        gpt.logits(random_symbols(13))


def test_heads_that_cannot_share_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="d_model is 16; 3 heads cannot share it"):
        replace(CONFIG, n_heads=3)


def test_a_seed_gives_the_same_network_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (Transformer(CONFIG, BytesCodec(), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize("pieces", [True, False])
def test_it_is_saved_and_loaded_whole(tmp_path: Path, bpe: BPECodec, pieces: bool) -> None:
    codec = bpe if pieces else BytesCodec()
    network = Transformer(replace(CONFIG, n_symbols=codec.n_symbols, codec=codec.name), codec)
    save_network(network, tmp_path)
    loaded = load_network(tmp_path)
    assert isinstance(loaded, Transformer)
    assert (loaded.digest, loaded.config) == (network.digest, network.config)
    assert loaded.encode("A café.") == network.encode("A café.")
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def trained(out: Path, until: int | None = None) -> list[Progress]:
    seen: list[Progress] = []
    corpus = pack(TEXTS, BytesCodec(), seed=0)
    network = Transformer(CONFIG, BytesCodec())
    Trainer(network, corpus, pack(TEXTS[:1], BytesCodec()), TRAINING, out).run(
        seen.append, until=until
    )
    return seen


def test_a_training_goes_down_and_one_that_was_stopped_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    assert whole[0].bits_per_byte == pytest.approx(8, abs=0.3)
    assert whole[-1].bits_per_byte < 5
    parts = trained(tmp_path / "parts", until=7) + trained(tmp_path / "parts")
    assert [p.bits_per_byte for p in parts] == [p.bits_per_byte for p in whole]
    digests = {load_network(tmp_path / name).digest for name in ("whole", "parts")}
    assert len(digests) == 1


def test_weights_decay_but_norms_and_biases_do_not(tmp_path: Path) -> None:
    corpus = pack(TEXTS, BytesCodec(), seed=0)
    trainer = Trainer(Transformer(CONFIG, BytesCodec()), corpus, corpus, TRAINING, tmp_path)
    decayed, others = trainer.optimiser.param_groups
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in others["params"]} == {1}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert len(decayed["params"]) + len(others["params"]) == len(list(trainer.network.parameters()))

"""Facts about the transformer: the fused pass is the bridge's, and it can be trained and kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
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
        start = 0 if place <= 12 else place - 7 - (place - 13) % 6
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


def test_every_hook_reads_what_the_bridge_caches(gpt: Transformer) -> None:
    symbols = random_symbols()
    _, cache = gpt.bridge.run_with_cache(symbols)
    canonical = {n for n, v in cache.items() if n not in gpt.aliases and v.is_floating_point()}
    assert canonical == set(gpt.hook_dict)
    for names in ([name] for name in gpt.hook_dict), [list(gpt.hook_dict)]:
        for asked in names:
            output = gpt(symbols, asked)
            assert list(output.reads) == asked
            torch.testing.assert_close(output.logits, gpt.bridge(symbols), rtol=0, atol=1e-5)
            for name, acts in output.reads.items():
                point = gpt.hook_dict[name]
                assert (acts.ndim, acts.shape[-1]) == (len(point.axes), cache[name].shape[-1])
                torch.testing.assert_close(acts, cache[name], rtol=0, atol=1e-5, msg=name)


def test_the_fused_pass_comes_by_hooks_that_exist_in_order(gpt: Transformer) -> None:
    from worldscope.networks.fused import fused_hooks

    assert [name for name in gpt.hook_dict if name in fused_hooks(2)] == fused_hooks(2)


def test_an_alias_is_stored_under_its_canonical_name(gpt: Transformer) -> None:
    symbols = random_symbols()
    for alias, name in (
        ("blocks.1.hook_resid_post", "blocks.1.hook_out"),
        ("blocks.0.hook_resid_mid", "blocks.0.ln2.hook_in"),
        ("blocks.0.mlp.hook_post", "blocks.0.mlp.out.hook_in"),
        ("hook_embed", "embed.hook_out"),
    ):
        assert list(gpt(symbols, [alias]).reads) == [name]


def test_what_lies_above_the_deepest_hook_is_not_run(gpt: Transformer) -> None:
    symbols = random_symbols()
    whole = gpt(symbols, ["blocks.0.hook_out", "blocks.0.attn.hook_pattern"])
    with torch.no_grad():
        for name, parameter in gpt.named_parameters():
            if "blocks.1." in name or "ln_final" in name:
                parameter.fill_(float("nan"))
    for names in (["blocks.0.hook_out"], ["blocks.0.hook_out", "blocks.0.attn.hook_pattern"]):
        part = gpt(symbols, names, logits=False)
        assert part.logits.shape == (3, 12, 0)
        for name in names:
            torch.testing.assert_close(part.reads[name], whole.reads[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("slow", [True, False])
def test_edits_change_what_follows_in_both_passes(gpt: Transformer, slow: bool) -> None:
    symbols, direction = random_symbols(), torch.randn(16)
    read = ["blocks.0.hook_out", "blocks.1.hook_in", "blocks.1.hook_out"]
    read += ["blocks.1.attn.hook_pattern"] * slow

    def push(acts: torch.Tensor, hook: object) -> torch.Tensor:
        return acts + 3 * direction

    before = gpt(symbols, read)
    with gpt.hooks([("blocks.0.hook_resid_post", push)]):
        after = gpt(symbols, read)
    given = gpt.bridge.run_with_hooks(symbols, fwd_hooks=[("blocks.0.hook_out", push)])
    torch.testing.assert_close(after.logits, given, rtol=0, atol=1e-4)
    moved = after.reads["blocks.1.hook_in"] - before.reads["blocks.1.hook_in"]
    torch.testing.assert_close(moved, (3 * direction).expand_as(moved), rtol=0, atol=1e-4)
    assert not torch.allclose(after.reads["blocks.1.hook_out"], before.reads["blocks.1.hook_out"])
    torch.testing.assert_close(gpt(symbols).logits, before.logits, rtol=0, atol=1e-5)


def test_an_edit_in_place_counts_and_what_was_read_before_it_stays(gpt: Transformer) -> None:
    symbols = random_symbols()
    before = gpt(symbols, ["blocks.0.hook_out"])

    def zero(acts: torch.Tensor, hook: object) -> None:
        acts[..., 0] = 0

    with gpt.hooks([("blocks.1.hook_in", zero)]):
        after = gpt(symbols, ["blocks.0.hook_out", "blocks.1.hook_in"])
    assert (after.reads["blocks.1.hook_in"][..., 0] == 0).all()
    assert torch.equal(after.reads["blocks.0.hook_out"], before.reads["blocks.0.hook_out"])


def test_scores_that_the_network_would_not_go_on_with_cannot_be_edited(gpt: Transformer) -> None:
    edits = [("blocks.0.attn.hook_attn_scores", lambda acts, hook: acts)]
    with pytest.raises(ValueError, match="can be read but not edited"), gpt.hooks(edits):
        pass


def test_an_edit_of_the_pattern_is_obeyed(gpt: Transformer) -> None:
    symbols = random_symbols()
    uniform = torch.tril(torch.ones(12, 12)) / torch.arange(1, 13)[:, None]
    with gpt.hooks([("blocks.0.attn.hook_pattern", lambda acts, hook: uniform.expand_as(acts))]):
        after = gpt(symbols, ["blocks.0.attn.o.hook_in", "blocks.0.attn.v.hook_out"])
    v = after.reads["blocks.0.attn.v.hook_out"]
    mixed = torch.einsum("qk,bkhd->bqhd", uniform, v)
    torch.testing.assert_close(after.reads["blocks.0.attn.o.hook_in"], mixed, rtol=0, atol=1e-5)


def test_an_unknown_hook_is_refused_with_the_nearest(gpt: Transformer) -> None:
    with pytest.raises(LookupError, match=r"called 'blocks\.0\.hook_ot'; the nearest are blocks"):
        gpt(random_symbols(), ["blocks.0.hook_ot"])
    with pytest.raises(
        LookupError, match=r"hook_resid_pots'; the nearest are blocks\.0\.hook_resid_po"
    ):
        gpt(random_symbols(), ["blocks.0.hook_resid_pots"])


def test_texts_of_any_length_are_read_once_with_half_of_the_context(gpt: Transformer) -> None:
    from worldscope.activations.reading import stream_states

    texts = ["a long text about a long film " * 2, "short", "a text of middling length"]
    seen = [np.zeros((0, 16)) for _ in texts]
    for part in stream_states(gpt, texts, ["blocks.1.hook_resid_post"], batch=2):
        read = part.acts["blocks.1.hook_out"].numpy()
        for row, count, acts in zip(part.rows, part.counts, read, strict=True):
            assert part.start == len(seen[row])
            seen[row] = np.concatenate([seen[row], acts[:count]])
    for text, acts in zip(texts, seen, strict=True):
        symbols = torch.tensor([gpt.encode(text)])
        assert len(acts) == symbols.shape[1]
        for place in range(len(acts)):
            start = 0 if place < 12 else place - 6 - place % 6
            _, cache = gpt.bridge.run_with_cache(symbols[:, start : place + 1])
            expected = cache["blocks.1.hook_out"][0, -1].detach().numpy()
            np.testing.assert_allclose(acts[place], expected, rtol=0, atol=1e-5)


def test_states_of_a_transformer_are_reduced_like_any_others(gpt: Transformer) -> None:
    from worldscope.activations.reading import read_states

    states = read_states(gpt, ["one text", "and another, longer text"], "blocks.0.hook_out")
    assert {place: acts.shape for place, acts in states.items()} == {
        ("blocks.0.hook_out", "final"): (2, 16),
        ("blocks.0.hook_out", "mean"): (2, 16),
    }
    for name, axes in (
        ("hook_pattern", "batch, head, query, key"),
        ("hook_z", "batch, time, head, d"),
    ):
        with pytest.raises(ValueError, match=rf"has the axes \({axes}\); states are"):
            read_states(gpt, ["one text"], f"blocks.0.attn.{name}")
    (final,) = read_states(gpt, ["one text"], "hook_embed", "final")
    assert final == ("embed.hook_out", "final")


def test_a_sample_is_what_the_whole_pass_says_whatever_shares_its_batch(gpt: Transformer) -> None:
    prompts, seeds = ["A long prompt, longer than the context", "The", ""], [0, 1]
    together = gpt.generate(prompts, max_new=15, seeds=seeds, temperature=0.0)
    assert [(g.prompt, g.seed) for g in together] == [(p, s) for p in prompts for s in seeds]
    for generation in together:
        (alone,) = gpt.generate(
            generation.prompt, max_new=15, seeds=generation.seed, temperature=0.0
        )
        assert alone == generation
        symbols = gpt.encode(generation.prompt, end=False)
        for written in generation.symbols:
            logits = gpt.bridge(torch.tensor([symbols[-12:]]))
            assert int(logits[0, -1].argmax()) == written
            symbols.append(written)


def test_a_feature_of_the_residual_stream_is_steered_while_it_writes(gpt: Transformer) -> None:
    from worldscope.features.feature import unit_feature
    from worldscope.features.statistics import measure_statistics
    from worldscope.steering.edits import Clamp, steer

    statistics = measure_statistics(gpt, TEXTS, "blocks.0.hook_resid_post")
    unit = unit_feature(gpt, statistics, 3, label="up")
    plain = gpt.generate("The film", max_new=20)
    with steer(gpt, Clamp(unit, 0.0)), torch.no_grad():
        read = gpt(random_symbols(), ["blocks.0.hook_out"]).reads["blocks.0.hook_out"]
        torch.testing.assert_close(read[..., 3], torch.full((3, 12), unit.mean), rtol=0, atol=1e-5)
    with steer(gpt, Clamp(unit, 500.0)):
        assert gpt.generate("The film", max_new=20) != plain
    assert gpt.generate("The film", max_new=20) == plain


def test_hooks_are_described_a_line_each_with_their_other_names(gpt: Transformer) -> None:
    from worldscope.networks.hooked import describe_hooks

    head, *lines = describe_hooks(gpt).splitlines()
    assert head.split() == ["name", "axes", "width", "edits", "also", "called"]
    assert [line.split()[0] for line in lines] == list(gpt.hook_dict)
    (out,) = [line for line in lines if line.startswith("blocks.1.hook_out ")]
    assert out.split() == [
        "blocks.1.hook_out",
        "batch,",
        "time,",
        "d",
        "16",
        "yes",
        "blocks.1.hook_resid_post",
    ]
    (scores,) = [line for line in lines if line.startswith("blocks.1.attn.hook_attn_scores ")]
    assert scores.split()[1:] == ["batch,", "head,", "query,", "key", "2", "no"]


def test_the_loss_is_that_of_each_symbol_after_the_first(gpt: Transformer) -> None:
    symbols = random_symbols()
    losses = gpt.loss(symbols)
    assert losses.shape == (3, 11)
    assert float(losses.sum()) == pytest.approx(gpt.stream_nats(symbols), rel=1e-5)


def test_a_training_of_another_depth_is_refused_and_its_checkpoint_called_whole(
    tmp_path: Path,
) -> None:
    trained(tmp_path, until=2)
    corpus = pack(TEXTS, BytesCodec(), seed=0)
    for n_layers in (1, 3):
        deeper = Transformer(replace(CONFIG, n_layers=n_layers), BytesCodec())
        with pytest.raises(ValueError, match="was trained with network .*n_layers=2") as caught:
            Trainer(deeper, corpus, corpus, TRAINING, tmp_path)
        assert "\n" not in str(caught.value)

"""What an edit moves: the stream or only what a part reads; alike in every pass and every form."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from worldscope.networks.codecs import BytesCodec
from worldscope.networks.fused import fused_hooks, unwrap
from worldscope.networks.hooked import HookPoint, describe_hooks
from worldscope.networks.loading import load_network
from worldscope.networks.transformer import Transformer, TransformerConfig

ATTENTION = {"gpt2": "transformer.h.1.attn", "llama": "model.layers.1.self_attn"}
BLOCK = {"gpt2": "transformer.h.1", "llama": "model.layers.1"}
PATTERN = "blocks.0.attn.hook_pattern"
"""A read that only the bridge gives."""
SHIFT = torch.linspace(-3, 4, 16).square()


def symbols() -> Tensor:
    return torch.randint(0, 50, (3, 20), generator=torch.Generator().manual_seed(1))


def shift(acts: Tensor, hook: HookPoint) -> Tensor:
    return acts + SHIFT


def doubled(acts: Tensor, hook: HookPoint) -> Tensor:
    return acts * 2


def double(acts: Tensor, hook: HookPoint) -> None:
    acts.mul_(2)


def varied(module: Any) -> Any:
    """With norms and biases away from their special initial values."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module.requires_grad_(False).eval()


@pytest.fixture
def native() -> Transformer:
    config = TransformerConfig(256, d_model=16, n_layers=3, n_heads=2, n_ctx=24, codec="bytes")
    return varied(Transformer(config, BytesCodec()))


def model(family: str) -> Any:
    torch.manual_seed(3)
    ids: dict[str, Any] = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 0}
    if family == "gpt2":
        config = transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=24, **ids)
        return varied(transformers.GPT2LMHeadModel(config))
    config = transformers.LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=24,
        **ids,
    )
    return varied(transformers.LlamaForCausalLM(config))


@pytest.fixture(params=list(BLOCK))
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def noise(seed: int) -> Callable[[Tensor, HookPoint], Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return lambda acts, hook: acts + torch.randn(acts.shape, generator=drawn)


def test_every_edit_does_the_same_in_both_passes_and_in_transformer_lens(
    native: Transformer,
) -> None:
    names = [name for name in fused_hooks(3) if name not in native.instead]
    names += [alias for alias, name in native.aliases.items() if name in names]
    assert len(names) == 33 + 32
    plain = native(symbols()).logits
    for seed, name in enumerate(names):
        with native.hooks([(name, noise(seed))]):
            short = native(symbols(), read=[name])
        with native.hooks([(name, noise(seed))]):
            long = native(symbols(), read=[name, PATTERN])
        edit = noise(seed)
        with torch.no_grad():
            theirs = native.bridge.run_with_hooks(symbols(), fwd_hooks=[(name, edit)])
        torch.testing.assert_close(short.logits, long.logits, rtol=0, atol=1e-4, msg=name)
        torch.testing.assert_close(short.logits, theirs, rtol=0, atol=1e-4, msg=name)
        (canonical,) = short.reads
        torch.testing.assert_close(
            short.reads[canonical], long.reads[canonical], rtol=0, atol=1e-4, msg=name
        )
        assert not torch.allclose(short.logits, plain, atol=1e-3), name


@pytest.mark.parametrize("slow", [True, False])
def test_an_edit_of_what_attention_adds_moves_the_stream_for_both_that_read_it(
    native: Transformer, slow: bool
) -> None:
    names = [f"blocks.1.{part}" for part in ("hook_resid_mid", "mlp.hook_out", "hook_out")]
    asked = [*names, *[PATTERN] * slow]
    places = [native.hook_name(name) for name in names]
    stream = native(symbols(), asked).reads[places[0]]
    with native.hooks([(native.instead[places[0]], shift)]):
        reads = native(symbols(), asked).reads
    read, written, after = (reads[place] for place in places)
    block = unwrap(native.bridge.original_model.layers[1])
    torch.testing.assert_close(read, stream + SHIFT, rtol=0, atol=1e-5)
    torch.testing.assert_close(written, block.mlp(block.ln2(read)), rtol=0, atol=1e-5)
    torch.testing.assert_close(after, read + written, rtol=0, atol=1e-5)


@pytest.mark.parametrize("slow", [True, False])
def test_edits_before_and_after_a_block_of_ours_change_the_stream(
    native: Transformer, slow: bool
) -> None:
    read = ["blocks.0.hook_out", *[PATTERN] * slow]
    stream = native(symbols(), read).reads["blocks.0.hook_out"]
    parts = native.bridge.original_model
    for name, after in (
        ("blocks.1.hook_resid_pre", lambda x: unwrap(parts.layers[1])(x + SHIFT)[0]),
        ("blocks.1.hook_resid_post", lambda x: unwrap(parts.layers[1])(x)[0] + SHIFT),
    ):
        x = unwrap(parts.layers[2])(after(stream))[0]
        expected = parts.head(parts.ln_out(x))
        with native.hooks([(name, shift)]):
            edited = native(symbols(), read).logits
        torch.testing.assert_close(edited, expected, rtol=0, atol=1e-4)


def test_edits_before_and_after_a_block_change_the_stream_as_hooks_of_torch_do(family: str) -> None:
    original = model(family)
    block = original.get_submodule(BLOCK[family])
    network = load_network(original)

    def before(_: object, given: tuple) -> tuple:
        return (given[0] + SHIFT, *given[1:])

    def after(_: object, given: object, output: Any) -> Any:
        return (output[0] + SHIFT, *output[1:]) if isinstance(output, tuple) else output + SHIFT

    for name, register, hook in (
        ("blocks.1.hook_resid_pre", block.register_forward_pre_hook, before),
        ("blocks.1.hook_resid_post", block.register_forward_hook, after),
    ):
        handle = register(hook)
        expected = original(symbols()).logits
        handle.remove()
        with network.hooks([(name, shift)]):
            torch.testing.assert_close(network(symbols()).logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["blocks.1.hook_resid_mid", "blocks.1.ln2.hook_in"])
def test_the_middle_of_the_stream_is_edited_where_attention_adds_to_it(
    family: str, name: str
) -> None:
    original = model(family)
    network = load_network(original)
    with (
        pytest.raises(
            ValueError,
            match=rf"{name} can be read but not edited: the stream goes past "
            r"blocks\.1\.ln2\.hook_in, .*; edit blocks\.1\.hook_attn_out, which is added",
        ),
        network.hooks([(name, shift)]),
    ):
        pass
    attention = original.get_submodule(ATTENTION[family])
    handle = attention.register_forward_hook(
        lambda _, given, output: (output[0] + SHIFT, *output[1:])
    )
    expected = original(symbols()).logits
    handle.remove()
    (before,) = network(symbols(), [name]).reads.values()
    with network.hooks([(network.instead[network.hook_name(name)], shift)]):
        output = network(symbols(), [name])
    (after,) = output.reads.values()
    torch.testing.assert_close(output.logits, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(after, before + SHIFT, rtol=0, atol=1e-5)


def test_every_name_of_the_middle_is_refused_and_none_else(native: Transformer) -> None:
    middles = [f"blocks.{n}.ln2.hook_in" for n in range(3)]
    assert sorted(native.instead) == middles
    aliases = [alias for alias, name in native.aliases.items() if name in middles]
    assert aliases == [f"blocks.{n}.hook_resid_mid" for n in range(3)]
    for name in (*middles, *aliases):
        refused = pytest.raises(ValueError, match="can be read but not edited")
        with refused, native.hooks([(name, shift)]):
            pass
    assert not any(point.edits for point in native.hook_dict.values())
    for line in describe_hooks(native).splitlines()[1:]:
        name, *_ = line.split()
        assert ("  no" in line) == (name in middles or not native.hook_dict[name].editable)


@pytest.mark.parametrize("slow", [True, False])
@pytest.mark.parametrize("edited", range(3))
@pytest.mark.parametrize("read", range(3))
def test_an_edit_is_called_however_deep_the_reads_are(
    native: Transformer, read: int, edited: int, slow: bool
) -> None:
    """Without scores, blocks are run as far as the deepest read or edit, whichever is deeper."""
    called: list[int] = []
    names = [f"blocks.{read}.hook_out", *[PATTERN] * slow]
    plain = native(symbols(), names, logits=False).reads[names[0]]
    with native.hooks([(f"blocks.{edited}.hook_in", lambda acts, _: called.append(len(acts)))]):
        output = native(symbols(), names, logits=False)
    assert called == [3]
    torch.testing.assert_close(output.reads[names[0]], plain, rtol=0, atol=1e-5)
    with native.hooks([(f"blocks.{edited}.hook_in", shift)]):
        moved = native(symbols(), names, logits=False).reads[names[0]]
    assert torch.allclose(moved, plain, atol=1e-3) == (read < edited)


@pytest.mark.filterwarnings("ignore:A forward hook edited hook_scale:UserWarning")
@pytest.mark.parametrize("frozen", [torch.no_grad, torch.inference_mode])
def test_an_edit_in_place_is_the_edit_that_returns_a_new_tensor(family: str, frozen: Any) -> None:
    network = load_network(model(family))
    points = network.hook_dict.items()
    editable = [n for n, point in points if point.editable and n not in network.instead]
    assert len(editable) > 70
    for name in editable:
        read = [name, "blocks.0.hook_in", "blocks.2.hook_out"]
        outputs = []
        for edit in (doubled, double):
            with frozen(), network.hooks([(name, edit)]):
                outputs.append(network(symbols(), read))
        new, in_place = outputs
        torch.testing.assert_close(in_place.logits, new.logits, rtol=0, atol=1e-5, msg=name)
        for place, acts in new.reads.items():
            torch.testing.assert_close(in_place.reads[place], acts, rtol=0, atol=1e-5, msg=name)
    plain = network(symbols()).logits
    torch.testing.assert_close(plain, model(family)(symbols()).logits, rtol=0, atol=1e-5)


def test_what_an_edit_returns_is_not_changed_by_the_next(native: Transformer) -> None:
    constant = torch.ones(3, 20, 16)
    edits = [("blocks.1.hook_in", lambda acts, _: constant), ("blocks.1.hook_in", double)]
    for read in ["blocks.1.hook_in"], ["blocks.1.hook_in", PATTERN]:
        with native.hooks(edits):
            acts = native(symbols(), read).reads["blocks.1.hook_in"]
        assert (acts == 2).all()
        assert (constant == 1).all()


def test_writing_to_a_read_changes_no_other_and_no_score(native: Transformer) -> None:
    names = fused_hooks(3)
    expected = native(symbols(), names)
    for name in names:
        output = native(symbols(), names)
        output.reads[name].fill_(torch.nan)
        assert torch.equal(output.logits, expected.logits), name
        for other in names:
            if other != name:
                assert torch.equal(output.reads[other], expected.reads[other]), (name, other)


def test_reads_of_an_edited_pass_are_apart_too(native: Transformer) -> None:
    constant = torch.ones(3, 20, 16)
    names = ["blocks.0.hook_out", "blocks.1.hook_in", "blocks.1.hook_out"]
    with native.hooks([(name, lambda acts, _: constant) for name in names[::2]]):
        reads = native(symbols(), names).reads
    for name in names:
        reads[name].fill_(torch.nan)
        rest = [reads[other] for other in names[names.index(name) + 1 :]]
        assert all((acts == 1).all() for acts in [constant, *rest])

"""What an edit moves: the stream or only what a part reads; alike in every pass and every form."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from worldscope.networks.codecs import BytesCodec
from worldscope.networks.fused import fused_hooks, unwrap
from worldscope.networks.hooked import HookPoint
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
    names = [*native.hook_dict, *native.aliases]
    fused = [n for n in names if native.hook_name(n) in fused_hooks(3) and n not in native.instead]
    assert len(fused) == 36 + 32
    plain = native(symbols()).logits
    for seed, name in enumerate(fused):
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
def test_an_edit_of_what_the_second_norm_reads_leaves_the_stream_as_it_is(
    native: Transformer, slow: bool
) -> None:
    names = [f"blocks.1.{part}" for part in ("ln2.hook_in", "mlp.hook_out", "hook_out")]
    asked = [*names, *[PATTERN] * slow]
    stream = native(symbols(), asked).reads[names[0]]
    with native.hooks([(names[0], shift)]):
        read, written, after = (native(symbols(), asked).reads[name] for name in names)
    block = unwrap(native.bridge.original_model.layers[1])
    torch.testing.assert_close(read, stream + SHIFT, rtol=0, atol=1e-5)
    torch.testing.assert_close(written, block.mlp(block.ln2(read)), rtol=0, atol=1e-5)
    torch.testing.assert_close(after, stream + written, rtol=0, atol=1e-5)


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


def test_the_middle_of_the_stream_is_edited_where_attention_adds_to_it(family: str) -> None:
    original = model(family)
    network = load_network(original)
    with (
        pytest.raises(
            ValueError,
            match=r"blocks\.1\.hook_resid_mid can be read but not edited: the stream goes past "
            r"blocks\.1\.ln2\.hook_in, .*; edit blocks\.1\.hook_attn_out, which is added",
        ),
        network.hooks([("blocks.1.hook_resid_mid", shift)]),
    ):
        pass
    attention = original.get_submodule(ATTENTION[family])
    handle = attention.register_forward_hook(
        lambda _, given, output: (output[0] + SHIFT, *output[1:])
    )
    expected = original(symbols()).logits
    handle.remove()
    read = ["blocks.1.hook_resid_mid"]
    (before,) = network(symbols(), read).reads.values()
    with network.hooks([(network.instead["blocks.1.hook_resid_mid"], shift)]):
        output = network(symbols(), read)
    (after,) = output.reads.values()
    torch.testing.assert_close(output.logits, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(after, before + SHIFT, rtol=0, atol=1e-5)


def test_every_name_of_the_middle_is_refused_and_none_else(native: Transformer) -> None:
    assert sorted(native.instead) == [f"blocks.{n}.hook_resid_mid" for n in range(3)]
    for name in native.instead:
        refused = pytest.raises(ValueError, match="can be read but not edited")
        with refused, native.hooks([(name, shift)]):
            pass
    assert not any(point.edits for point in native.hook_dict.values())


@pytest.mark.filterwarnings("ignore:A forward hook edited hook_scale:UserWarning")
@pytest.mark.parametrize("frozen", [torch.no_grad, torch.inference_mode])
def test_an_edit_in_place_is_the_edit_that_returns_a_new_tensor(family: str, frozen: Any) -> None:
    network = load_network(model(family))
    editable = [name for name, point in network.hook_dict.items() if point.editable]
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

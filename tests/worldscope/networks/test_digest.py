"""A digest names a network: equal for the same one wherever it comes from, else another."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from worldscope.networks.codecs import BytesCodec
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.loading import load_network, new_mlstm, save_network
from worldscope.networks.transformer import Transformer, TransformerConfig
from worldscope.networks.wrapped import wrap

CONFIG = TransformerConfig(256, d_model=16, n_layers=2, n_heads=2, n_ctx=12, codec="bytes")
GPT2: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24}
LLAMA: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
}
IDS: dict[str, Any] = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 0}


class Holder(HookedNetwork):
    """Holds buffers, of which only some are saved."""

    def __init__(self, arrays: dict[str, np.ndarray], persistent: bool) -> None:
        super().__init__()
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array.copy()), persistent=persistent)


arrays = st.dictionaries(
    st.sampled_from(["a", "ab", "b"]),
    hnp.arrays(
        st.sampled_from([np.uint8, np.int32, np.float32]),
        hnp.array_shapes(min_dims=0, max_dims=2, max_side=2),
        elements=st.integers(0, 1),
    ),
    max_size=2,
)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        (one[name].dtype, one[name].shape, one[name].tobytes())
        == (other[name].dtype, other[name].shape, other[name].tobytes())
        for name in one
    )


@given(one=arrays, other=arrays, persistent=st.booleans())
def test_digests_are_equal_exactly_when_names_types_shapes_and_bytes_are(
    one: dict[str, np.ndarray], other: dict[str, np.ndarray], persistent: bool
) -> None:
    digests = [Holder(held, persistent).digest for held in (one, other)]
    assert (digests[0] == digests[1]) == same(one, other)


ZEROS = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    "other",
    [
        {"a": ZEROS.reshape(2, 2)},
        {"a": ZEROS.view(np.int32)},
        {"a": ZEROS.view(np.uint8)},
        {"b": ZEROS},
        {"a": ZEROS[:2], "b": ZEROS[:2]},
    ],
)
@pytest.mark.parametrize("persistent", [True, False])
def test_the_same_bytes_held_otherwise_have_another_digest(
    other: dict[str, np.ndarray], persistent: bool
) -> None:
    assert Holder(other, persistent).digest != Holder({"a": ZEROS}, persistent).digest


def llama(**changes: Any) -> Any:
    torch.manual_seed(3)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**IDS, **(LLAMA | changes)))


def gpt2(**changes: Any) -> Any:
    torch.manual_seed(3)
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**IDS, **(GPT2 | changes)))


@pytest.mark.parametrize(
    ("build", "change"),
    [
        (gpt2, {"n_head": 4}),
        (gpt2, {"activation_function": "relu"}),
        (gpt2, {"layer_norm_epsilon": 1e-3}),
        (gpt2, {"scale_attn_by_inverse_layer_idx": True}),
        (llama, {"rms_norm_eps": 1e-3}),
        (llama, {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
    ],
)
def test_equal_weights_of_another_computation_have_another_digest(
    build: Callable[..., Any], change: dict[str, Any]
) -> None:
    one, other = build(), build(**change)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
    assert load_network(one).digest != load_network(other).digest


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("build", [gpt2, llama])
def test_a_model_has_one_digest_in_memory_and_in_any_folder(
    build: Callable[..., Any], dtype: str, tmp_path: Path
) -> None:
    model = build()
    for name in ("here", "there"):
        model.save_pretrained(tmp_path / name)
    sources = (model, tmp_path / "here", tmp_path / "there")
    digests = {load_network(source, dtype=dtype).digest for source in sources}
    assert len(digests) == 1
    model.config._name_or_path, model.config.architectures = "elsewhere", ["Other"]
    assert load_network(model, dtype=dtype).digest in digests


def test_a_model_with_folded_norms_is_another_network() -> None:
    assert load_network(gpt2()).digest != load_network(gpt2(), compatibility_mode=True).digest


def test_heads_are_part_of_a_transformer_of_ours_and_its_arithmetic_is_not(tmp_path: Path) -> None:
    network = Transformer(CONFIG, BytesCodec())
    other = Transformer(replace(CONFIG, n_heads=4), BytesCodec())
    other.load_state_dict(network.state_dict())
    assert other.digest != network.digest
    save_network(network, tmp_path)
    for dtype in ("float32", "bfloat16"):
        assert load_network(tmp_path, dtype=dtype).digest == network.digest


def test_the_codec_is_part_of_a_recurrent_network_of_ours(tmp_path: Path) -> None:
    network = new_mlstm(d_hidden=4)
    save_network(network, tmp_path)
    assert load_network(tmp_path).digest == network.digest
    network.config = replace(network.config, codec="bpe")
    assert load_network(tmp_path).digest != network.digest


class Shown(nn.Module):
    """Prints where in memory it stands, as modules that print a function do."""

    def extra_repr(self) -> str:
        return object.__repr__(self)


def test_what_a_wrapped_module_computes_counts_and_where_it_stands_does_not() -> None:
    one, same, other = (nn.Sequential(Shown(), nn.LeakyReLU(s)) for s in (0.1, 0.1, 0.2))
    assert repr(one) != repr(same)
    assert wrap(one).digest == wrap(same).digest != wrap(other).digest


def keep(batch: torch.Tensor, lengths: np.ndarray) -> dict[str, Any]:
    return {}


def keep_none(batch: torch.Tensor, lengths: np.ndarray) -> dict[str, Any]:
    return {}


def test_what_wrap_is_told_of_a_module_is_in_its_digest() -> None:
    module = nn.Linear(2, 2)
    settings: list[dict[str, Any]] = [
        {}, {"timed": False}, {"keywords": keep}, {"keywords": keep_none}
    ]  # fmt: skip
    digests = [wrap(module, **given).digest for given in settings]
    assert len(set(digests)) == 4
    assert digests == [wrap(module, **given).digest for given in settings]


def test_hooks_of_torch_that_a_module_has_are_in_its_digest_while_they_are_there() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    network = wrap(module)
    plain, x = network.digest, torch.ones(1, 3, 2)
    part: Any = module[0]
    for register in (
        lambda: part.register_forward_hook(lambda _, given, output: output + 1),
        lambda: part.register_forward_pre_hook(lambda _, given: (given[0] + 1,)),
    ):
        before = network(x)
        handle = register()
        assert not torch.equal(network(x), before)
        assert network.digest != plain
        handle.remove()
        assert network.digest == plain


def test_a_recurrent_module_whose_hooks_its_gates_would_not_obey_is_refused() -> None:
    module = nn.GRU(2, 3)
    network = wrap(module)
    handle = module.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match="nn.GRU has hooks of torch, .* wrap a module that holds"):
        network(torch.ones(1, 4, 2))
    handle.remove()
    network(torch.ones(1, 4, 2))


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (lambda: new_mlstm(d_hidden=4, d_embed=3), r"MLSTM\(n_symbols=256, d_hidden=4, .*"),
        (lambda: Transformer(CONFIG, BytesCodec()), r"Transformer\(n_symbols=256, d_model=16, .*"),
        (lambda: load_network(gpt2()), r"BridgedModel\("),
        (lambda: wrap(nn.Linear(2, 3)), r"WrappedNetwork\("),
    ],
)
def test_a_network_is_printed_on_one_line(network: Callable[[], HookedNetwork], line: str) -> None:
    made = network()
    made.name = "a/name"
    count = sum(parameter.numel() for parameter in made.parameters())
    end = f"{count:,} parameters, {len(made.hook_dict)} hook points, float32 on cpu)"
    assert re.match(line.replace(r"\(", r"\(a/name, ", 1), repr(made))
    assert repr(made).endswith(end)
    assert "\n" not in str(made)

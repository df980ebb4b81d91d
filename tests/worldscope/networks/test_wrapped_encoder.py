"""Encoders of torch have a fast path that calls no submodule; every hook fires all the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from worldscope.activations.collect import collect
from worldscope.networks.wrapped import wrap


def encoder(nested: bool = True) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    made = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()
    with torch.no_grad():
        for parameter in made.parameters():  # layers are copies of one
            parameter.add_(torch.randn(parameter.shape) * 0.05)
    return made


def masked(batch: Tensor, lengths: np.ndarray) -> dict[str, Any]:
    return {"src_key_padding_mask": np.arange(batch.shape[1]) >= lengths[:, None]}


def by_hand(layer: nn.TransformerEncoderLayer, x: Tensor) -> dict[str, Tensor]:
    """The activations of a layer by its own weights, without its modules."""
    attention = layer.self_attn
    q, k, v = (
        (x @ attention.in_proj_weight.t() + attention.in_proj_bias)
        .unflatten(-1, (3, 2, 4))
        .permute(2, 0, 3, 1, 4)
    )
    mixed = ((q @ k.mT / 2).softmax(-1) @ v).transpose(1, 2).flatten(2)
    attended = layer.self_attn.out_proj(mixed)
    first = layer.norm1(x + attended)
    inner = (first @ layer.linear1.weight.t() + layer.linear1.bias).relu()
    second = inner @ layer.linear2.weight.t() + layer.linear2.bias
    return {
        "self_attn.hook_out.0": attended,
        "norm1.hook_out": first,
        "dropout.hook_out": inner,
        "linear2.hook_out": second,
        "hook_out": layer.norm2(first + second),
    }


X = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("train", [False, True])
def test_every_hook_of_a_layer_fires_and_is_what_its_weights_say(train: bool) -> None:
    module = encoder().train(train)
    output, acts = wrap(module, X).run_with_cache(X)  # pyright: ignore
    x = X
    for place, layer in enumerate(module.layers):
        expected = by_hand(layer, x)  # pyright: ignore
        for name, value in expected.items():
            found = acts[f"layers.{place}.{name}"]
            torch.testing.assert_close(found, value.detach(), rtol=1e-5, atol=1e-5)
        x = expected["hook_out"]
    assert module.training == train
    torch.testing.assert_close(output, module.eval()(X).detach(), rtol=1e-5, atol=1e-5)


def test_all_hook_points_fire_but_the_projection_that_torch_never_calls() -> None:
    network = wrap(encoder(), X)
    silent = {name for name, point in network.hook_dict.items() if not point.axes}
    assert silent == {f"layers.{n}.self_attn.out_proj.hook_out" for n in range(2)}
    assert network.hook_dict.keys() - silent == wrap(encoder()).run_with_cache(X)[1].keys()  # pyright: ignore
    assert set(network.hook_names()) == network.hook_dict.keys() - silent
    with pytest.raises(RuntimeError, match=r"out_proj\.hook_out never fired"):
        network.run_with_cache(X, names_filter="layers.0.self_attn.out_proj.hook_out")  # pyright: ignore


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("nested", [True, False])
def test_padded_inputs_are_dense_and_read_as_each_alone(nested: bool, tmp_path: Path) -> None:
    module = encoder(nested)
    network = wrap(module, X[:1], pads=True, keywords=masked)
    lengths = np.array([6, 5, 5])
    hooks = [n for n, point in network.hook_dict.items() if point.axes == ("batch", "time", "d")]
    assert len(hooks) > 16
    (piece,) = network.stream_reads(X, lengths, hooks, chunk=1)
    for hook in hooks:
        acts = piece.reads[hook]
        assert not acts.is_nested
        for row, length in enumerate(lengths):
            alone = network.run_with_cache(X[row : row + 1, :length], names_filter=hook)[1]  # pyright: ignore
            torch.testing.assert_close(acts[row, :length], alone[hook][0], rtol=1e-5, atol=1e-5)
    store = collect(network, list(X.numpy()), hooks[:3], tmp_path)
    assert len(store) == 18
    assert torch.backends.mha.get_fastpath_enabled()
    network(X, **masked(X, lengths) | {"src_key_padding_mask": torch.zeros(3, 6, dtype=torch.bool)})
    with pytest.raises(AssertionError, match="embedding dimension"):
        network(X[..., :3])
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_layer_by_itself_is_read_and_an_edit_reaches_its_output() -> None:
    layer: Any = encoder().layers[0]
    network = wrap(layer, X)
    with network.hooks([("linear1.hook_out", lambda value, _: torch.zeros_like(value))]):
        output, acts = network.run_with_cache(X, names_filter="norm1.hook_out")  # pyright: ignore
    expected = layer.norm2(acts["norm1.hook_out"] + layer.linear2.bias)
    torch.testing.assert_close(output, expected.detach())

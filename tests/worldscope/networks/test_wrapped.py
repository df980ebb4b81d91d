"""Any module is read and edited as by hooks of torch, and is as it was afterwards."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn

from worldscope.activations.capture import capture
from worldscope.activations.collect import collect
from worldscope.networks.wrapped import WrappedNetwork, wrap
from worldscope.networks.wrapped_network import Keywords


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 5, 3),
        nn.Flatten(),
        nn.Linear(5 * 5 * 5, 2),
    ).eval()


IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@dataclass
class Parts:
    first: Tensor
    rest: tuple[Tensor, Tensor]


class Odd(nn.Module):
    """Uses one layer twice, gives tuples, mappings, dataclasses and nothing, and skips a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.pair, self.named = nn.Linear(4, 4), Pair(), Named()
        self.skipped, self.silent = nn.Linear(4, 4), Silent()

    def forward(self, x: Tensor) -> Parts:
        self.silent(x)
        a, b = self.pair(self.shared(self.shared(x)))
        return Parts(self.named(a)["out"], (a, b))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x * 2


class Named(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": x, "count": torch.tensor(3)}


class Silent(nn.Module):
    def forward(self, x: Tensor) -> None:
        return None


def by_torch(module: nn.Module, path: str, *inputs: Any, **keywords: Any) -> Any:
    """What a plain forward hook sees, before anything works in place on it."""
    seen = []
    handle = module.get_submodule(path).register_forward_hook(
        lambda _, __, output: seen.append(output.detach().clone())
    )
    module(*inputs, **keywords)
    handle.remove()
    return seen[0]


def test_every_layer_of_a_convolutional_net_is_what_torch_sees() -> None:
    module = convolutional()
    network = wrap(module, IMAGES, timed=False)
    output, acts = network.run_with_cache(IMAGES)  # pyright: ignore
    torch.testing.assert_close(output, module(IMAGES))
    assert sorted(acts) == [*(f"{layer}.hook_out" for layer in range(5)), "hook_out"]
    for layer in range(5):
        torch.testing.assert_close(acts[f"{layer}.hook_out"], by_torch(module, str(layer), IMAGES))
    assert (acts["0.hook_out"] < 0).any(), "the layer after it works in place"
    point = network.hook_dict["2.hook_out"]
    assert (point.width, point.axes) == (5, ("batch", "channel", "height", "width"))


def test_an_edit_is_gone_on_with() -> None:
    network = wrap(convolutional(), IMAGES, timed=False)
    with network.hooks([("4.hook_out", lambda value, _: torch.full_like(value, 7.0))]):
        assert (network(IMAGES) == 7).all()
    with network.hooks([("0.hook_out", lambda value, _: value.zero_())]):
        first, second = network(IMAGES)[:2]
    torch.testing.assert_close(first, second)
    assert not torch.allclose(*network(IMAGES)[:2])


def test_the_module_is_as_it_was_whatever_happens() -> None:
    module = convolutional().train()
    before = copy.deepcopy(module.state_dict())
    network = wrap(module, IMAGES, timed=False)

    def failing(value: Tensor, _: object) -> Tensor:
        raise KeyError

    with pytest.raises(KeyError), network.hooks([("2.hook_out", failing)]):
        network(IMAGES)
    next(network.stream_reads(IMAGES, np.ones(6, dtype=int), ["0.hook_out"], chunk=1))
    assert module.training
    assert not any(sub._forward_hooks for sub in module.modules())
    assert module.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[n]) for n, tensor in module.state_dict().items())


def test_outputs_of_every_kind_are_unpacked_and_a_second_call_has_its_own_name() -> None:
    module, x = Odd(), torch.randn(2, 4)
    network = wrap(module, x, timed=False)
    output, acts = network.run_with_cache(x)  # pyright: ignore
    assert isinstance(output, Parts)
    once = module.shared(x)
    torch.testing.assert_close(acts["shared.hook_out"], once)
    torch.testing.assert_close(acts["shared.hook_out@1"], module.shared(once))
    torch.testing.assert_close(acts["pair.hook_out.1"], acts["shared.hook_out@1"] * 2)
    torch.testing.assert_close(acts["named.hook_out.out"], acts["pair.hook_out.0"])
    torch.testing.assert_close(acts["hook_out.rest.1"], output.rest[1])
    with network.hooks([("pair.hook_out.0", lambda value, _: torch.zeros_like(value))]):
        assert not network(x).first.any()


def test_a_hook_that_never_fires_and_one_that_is_unknown_are_named() -> None:
    network = wrap(Odd(), timed=False)
    with pytest.raises(RuntimeError, match=r"skipped\.hook_out never fired"):
        network.run_with_cache(torch.randn(2, 4), names_filter="skipped.hook_out")  # pyright: ignore
    with pytest.raises(LookupError, match=r"'share\.hook_out'; the nearest are shared\.hook_out"):
        network.hook_name("share.hook_out")


def test_a_module_that_is_asked_for_without_its_output_is_told_its_hooks() -> None:
    network = wrap(Odd(), torch.zeros(2, 4), timed=False)
    for asked, nearest in (
        ("shared", r"shared\.hook_out, shared\.hook_out@1"),
        ("pair", r"pair\.hook_out\.0, pair\.hook_out\.1"),
        ("named", r"named\.hook_out\.out"),
    ):
        with pytest.raises(LookupError, match=rf"'{asked}'; the nearest are {nearest}"):
            network.hook_name(asked)


def test_the_pass_ends_at_the_deepest_hook() -> None:
    module, calls = convolutional(), []
    module.get_submodule("4").register_forward_hook(lambda *_: calls.append(1))
    network = wrap(module, timed=False)
    next(network.stream_reads(IMAGES, np.ones(6, dtype=int), ["2.hook_out"], chunk=1))
    assert not calls


def test_capture_works_on_wrapped_modules() -> None:
    module = convolutional()
    network = wrap(module, timed=False)
    with capture(network, "2.hook_out") as acts:
        network(IMAGES)
    torch.testing.assert_close(acts["2.hook_out"], by_torch(module, "2", IMAGES))


def test_places_of_images_are_collected_as_positions(tmp_path: Path) -> None:
    module = convolutional()
    images = list(IMAGES.numpy()) + list(torch.randn(2, 3, 16, 16).double().numpy())
    store = collect(wrap(module, timed=False), images, "2.hook_out", tmp_path, batch_positions=60)
    assert len(store) == 8 * 25
    rows = store.rows().to_pandas()
    for index, image in enumerate(images):
        expected = by_torch(module, "2", torch.from_numpy(image).float()[None])[0]
        chosen = rows.index[rows["sequence"] == index]
        found = store.gather(None, chosen.to_numpy())[
            np.argsort(rows["position"][chosen].to_numpy())
        ]
        torch.testing.assert_close(found, expected.flatten(1).T, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="different numbers of positions"):
        collect(wrap(module, timed=False), images, ["0.hook_out", "2.hook_out"], tmp_path / "x")


def test_an_encoder_with_a_mask_is_read_as_each_input_alone(
    bert: Any, masked: Keywords, tmp_path: Path
) -> None:
    texts = [np.arange(1, 3 + n) % 40 for n in range(10)]
    with pytest.raises(LookupError, match="give wrap an example"):
        wrap(bert).hook_name("hook_out.last_hidden_state")
    network = wrap(bert, torch.zeros(1, 3, dtype=torch.long), pads=True, keywords=masked)
    hooks = ["encoder.layer.0.hook_out", "hook_out.last_hidden_state"]
    store = collect(network, texts, hooks, tmp_path, batch_positions=40)
    rows = store.rows().to_pandas()
    for index, text in enumerate(texts):
        alone = bert(torch.from_numpy(text)[None], output_hidden_states=True).hidden_states
        chosen = rows.index[rows["sequence"] == index].to_numpy()
        assert rows["position"][chosen].tolist() == list(range(len(text)))
        for hook, layer in zip(hooks, (1, 2), strict=True):
            torch.testing.assert_close(
                store.gather(hook, chosen), alone[layer][0].detach(), rtol=0, atol=1e-5
            )


def test_a_vision_transformer_is_read_patch_by_patch() -> None:
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        image_size=16, patch_size=8,
    )  # fmt: skip
    vit = transformers.ViTModel(config).eval()
    network = wrap(vit, IMAGES, timed=False)
    names = [n for n, p in network.hook_dict.items() if p.axes == ("batch", "position", "d")]
    assert network.positions(IMAGES[0], ["hook_out.last_hidden_state"]) == 5
    expected = vit(IMAGES).last_hidden_state.detach()
    piece = next(
        network.stream_reads(IMAGES, np.ones(6, dtype=int), ["hook_out.last_hidden_state"], chunk=1)
    )
    torch.testing.assert_close(piece.reads["hook_out.last_hidden_state"], expected)
    assert len(names) > 10


def test_inputs_are_arrays_and_digests_are_of_weights() -> None:
    module = convolutional()
    network = wrap(module, timed=False)
    assert isinstance(network, WrappedNetwork)
    assert network.encode(np.zeros((3, 2, 2), np.uint8)).dtype == torch.float32
    assert network.encode([1, 2]).dtype == torch.int64
    with pytest.raises(ValueError, match="reads arrays, not str"):
        network.encode("text")
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[0].weight[0] += 1  # pyright: ignore
    same, different = (wrap(made, timed=False) for made in (copy.deepcopy(module), other))
    assert network.digest == same.digest != different.digest

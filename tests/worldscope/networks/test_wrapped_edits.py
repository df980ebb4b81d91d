"""What is read is no one else's tensor, and what is edited reaches what follows and no other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from worldscope.activations.stream import stream_activations
from worldscope.networks.hooked import HookedNetwork, HookPoint
from worldscope.networks.wrapped import wrap

X = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))


def in_place(value: Tensor, _: HookPoint) -> None:
    value.mul_(2)


def in_place_and_returned(value: Tensor, _: HookPoint) -> Tensor:
    return value.mul_(2)


def new(value: Tensor, _: HookPoint) -> Tensor:
    return value * 2


def a_view(value: Tensor, _: HookPoint) -> Tensor:
    return value.mul_(2).view(value.shape)


EDITS = [in_place, in_place_and_returned, new, a_view]


class Skips(nn.Module):
    """Hands its input on as it is, and adds it again afterwards, as a residual stream does."""

    def __init__(self) -> None:
        super().__init__()
        self.same, self.quiet, self.sharp = nn.Identity(), nn.Dropout(0.5), nn.ReLU(inplace=True)
        self.after = nn.Hardtanh(-0.1, 0.1, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.quiet(self.same(x))
        total = x + branch
        return self.after(self.sharp(total)) + x


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("hook", ["same.hook_out", "quiet.hook_out"])
def test_every_way_to_edit_is_the_same_and_stays_where_it_is(
    edit: Callable[..., Any], hook: str
) -> None:
    network, x = wrap(Skips(), X), X.clone()
    with network.hooks([(hook, edit)]):
        output, acts = network.run_with_cache(x, names_filter=[hook, "sharp.hook_out"])  # pyright: ignore
    assert torch.equal(x, X), "the input, which the module gives as its output, is no edit's"
    torch.testing.assert_close(acts[hook], X * 2, rtol=0, atol=0)
    torch.testing.assert_close(acts["sharp.hook_out"], (X + 2 * X).relu())
    torch.testing.assert_close(output, (X + 2 * X).relu().clamp(-0.1, 0.1) + X)


def test_what_is_read_is_not_what_a_later_module_works_on() -> None:
    network = wrap(Skips(), X)
    output, acts = network.run_with_cache(X)  # pyright: ignore
    assert torch.equal(acts["same.hook_out"], X)
    assert torch.equal(acts["sharp.hook_out"], (2 * X).relu()), "clamped in place afterwards"
    assert torch.equal(acts["after.hook_out"], (2 * X).relu().clamp(-0.1, 0.1))
    places = [tensor.untyped_storage().data_ptr() for tensor in (X, output, *acts.values())]
    assert len(set(places)) == len(places)


def test_several_edits_of_one_hook_follow_each_other_and_what_they_return_is_theirs() -> None:
    network, kept = wrap(nn.Identity(), X), torch.ones_like(X)
    with network.hooks(
        [("hook_out", lambda value, _: kept), ("hook_out", in_place), ("hook_out", new)]
    ):
        assert torch.equal(network(X), torch.full_like(X, 4))
    assert torch.equal(kept, torch.ones_like(X))


@pytest.mark.parametrize("timed", [True, False])
def test_a_module_that_works_in_place_leaves_the_data_as_they_are(timed: bool) -> None:
    data = [np.full((n, 4), -1.0, np.float32) for n in (5, 4)]
    module = nn.Sequential(nn.Identity(), nn.LeakyReLU(2.0, inplace=True))
    example = torch.full((1, 5, 4), -1.0)
    network = wrap(module, example, timed=timed, pads=timed)
    parts = list(stream_activations(network, data, ["0.hook_out", "1.hook_out"]))
    for hook, value in (("0.hook_out", -1), ("1.hook_out", -2)):
        found = torch.cat([part.acts[hook] for part in parts])
        assert torch.equal(found, torch.full((9, 4), float(value)))
    assert all((array == -1).all() for array in (*data, example.numpy()))


class Keeping(nn.Module):
    """Gives an object that it keeps."""

    def __init__(self, kept: Any):
        super().__init__()
        self.kept = kept

    def forward(self, x: Tensor) -> Any:
        return self.kept


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(
    ("kept", "hook"),
    [
        ({"a": X.clone()}, "hook_out.a"),
        ([X.clone()], "hook_out.0"),
        (BaseModelOutput(X.clone()), "hook_out.last_hidden_state"),  # pyright: ignore
        (X.clone(), "hook_out"),
    ],
)
def test_what_the_module_keeps_is_not_edited(kept: Any, hook: str, edit: Any) -> None:
    network: HookedNetwork = wrap(Keeping(kept), X)
    with network.hooks([(hook, edit)]):
        output = network(X)
    assert type(output) is type(kept)
    found = [value if isinstance(value, Tensor) else next(iter(dict(value).values()))
             for value in (kept, output) if not isinstance(value, list)]  # fmt: skip
    found = found or [kept[0], output[0]]
    assert torch.equal(found[0], X)
    assert torch.equal(found[1], X * 2)

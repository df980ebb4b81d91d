"""What a wrapped module makes of a batch is what it makes of each input alone, or is refused."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from worldscope.activations.stream import stream_activations
from worldscope.networks.hooked import HookPoint
from worldscope.networks.wrapped import wrap


class Pooled(nn.Module):
    """The last step of an LSTM that takes time first."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.lstm(batch)[0][:, -1]


class Centred(nn.Module):
    """The difference from the mean of the batch."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return (batch - batch.mean(0)).flatten(1)


@pytest.mark.parametrize("module", [Pooled(), Centred(), nn.TransformerEncoderLayer(3, 1, 8)])
def test_a_module_that_mixes_the_inputs_of_a_batch_is_refused_without_time(
    module: nn.Module,
) -> None:
    data = list(np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32))
    with pytest.raises(ValueError, match="hook_out of an input is another in a batch than alone"):
        list(stream_activations(wrap(module, timed=False), data, "hook_out"))


def test_padding_is_checked_when_it_comes_whatever_came_before() -> None:
    class Backwards(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.flip(1).cumsum(1).flip(1) + batch.mean(1, keepdim=True)

    equal, ragged = [np.ones((4, 1))] * 2, [np.ones((5, 1)), np.ones((4, 1))]
    network = wrap(Backwards(), pads=True)
    list(stream_activations(network, equal, "hook_out"))
    with pytest.raises(ValueError, match="padding changes it"):
        list(stream_activations(network, ragged, "hook_out"))


def test_an_edit_beyond_what_is_read_is_applied_and_may_differ_from_input_to_input() -> None:
    network = wrap(nn.Sequential(nn.Identity(), nn.Identity()), timed=False)
    calls: list[torch.Tensor] = []

    def noise(acts: torch.Tensor, point: HookPoint) -> torch.Tensor:
        calls.append(acts)
        return acts + torch.randn(len(acts), 1)

    with network.hooks([("1.hook_out", noise)]):
        first = next(stream_activations(network, [np.ones(2), np.zeros(2)], "0.hook_out"))
        second = list(stream_activations(network, [np.ones(2), np.zeros(2)], "1.hook_out"))
    assert first.acts["0.hook_out"].tolist() == [[1, 1], [0, 0]]
    assert len(calls) > 1
    assert len(second) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: nn.RNN(3, 4), lambda: nn.RNN(3, 4, nonlinearity="relu")),
        (
            lambda: nn.TransformerEncoderLayer(8, 2, 16),
            lambda: nn.TransformerEncoderLayer(8, 4, 16),
        ),
        (
            lambda: nn.TransformerEncoderLayer(8, 2, 16, activation="relu"),
            lambda: nn.TransformerEncoderLayer(8, 2, 16, activation="gelu"),
        ),
    ],
)
def test_settings_that_a_module_does_not_print_are_in_its_digest(
    one: Callable[[], nn.Module], other: Callable[[], nn.Module]
) -> None:
    digests = []
    for make in (one, one, other):
        torch.manual_seed(0)
        digests.append(wrap(make()).digest)
    assert digests[0] == digests[1] != digests[2]

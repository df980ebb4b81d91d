"""The axes of a hook are what they are called, and only what has positions becomes rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from worldscope.activations.capture import capture
from worldscope.activations.stream import stream_activations
from worldscope.networks.hooked import describe_hooks
from worldscope.networks.wrapped import wrap


class Made(nn.Module):
    """What a function makes of a batch."""

    def __init__(self, make: Callable[[Tensor], Any]):
        super().__init__()
        self.make = make

    def forward(self, batch: Tensor) -> Any:
        return self.make(batch)


X = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
TIMED: dict[str, tuple[Callable[[Tensor], Tensor], tuple[str, ...], int]] = {
    "steps": (lambda x: x, ("batch", "time", "d"), 6),
    "heads": (lambda x: x.unflatten(2, (3, 2)), ("batch", "time", "head", "d"), 2),
    "frames": (
        lambda x: x.unflatten(2, (3, 2, 1)), ("batch", "time", "axis 2", "axis 3", "axis 4"), 1,
    ),
    "pooled": (lambda x: x.mean(1), ("batch", "d"), 6),
    "every second step": (lambda x: x[:, ::2], ("batch", "axis 1", "axis 2"), 6),
    "channels first": (lambda x: x.transpose(1, 2), ("batch", "axis 1", "axis 2"), 5),
    "heads first": (
        lambda x: x.unflatten(2, (3, 2)).transpose(1, 2),
        ("batch", "axis 1", "axis 2", "axis 3"), 2,
    ),
    "flattened": (lambda x: x.flatten(0, 1), ("axis 0", "axis 1"), 6),
    "time first": (lambda x: x.transpose(0, 1), ("axis 0", "axis 1", "axis 2"), 6),
    "one number": (lambda x: x.mean(), (), 1),
}  # fmt: skip
RECORDED = ["steps", "heads", "frames"]


@pytest.mark.parametrize("kind", TIMED)
def test_axes_of_timed_modules_are_named_by_what_they_are(kind: str) -> None:
    make, axes, width = TIMED[kind]
    network = wrap(Made(make), X)
    point = network.hook_dict["hook_out"]
    assert (point.axes, point.width) == (axes, width)
    assert ", ".join(axes) in describe_hooks(network)


@pytest.mark.parametrize("kind", TIMED)
def test_steps_are_recorded_and_anything_else_is_said_and_still_read(kind: str) -> None:
    make, axes, _ = TIMED[kind]
    network = wrap(Made(make), X)
    with capture(network) as seen:
        network(X)
    torch.testing.assert_close(seen.passes[0]["hook_out"], make(X))
    if kind in RECORDED:
        (batch,) = stream_activations(network, X, "hook_out")
        torch.testing.assert_close(batch.acts["hook_out"], make(X).flatten(0, 1))
        return
    with pytest.raises(ValueError) as raised:
        list(stream_activations(network, X, "hook_out"))
    said = str(raised.value)
    assert "\n" not in said
    assert "axis 1 is not their time" in said
    assert "timed=False" in said


@pytest.mark.parametrize(
    ("shape", "axes", "width"),
    [
        ((2, 3), ("batch", "d"), 3),
        ((2, 4, 3), ("batch", "position", "d"), 3),
        ((2, 3, 5, 4), ("batch", "channel", "height", "width"), 3),
        ((2, 3, 5, 4, 6), ("batch", "axis 1", "axis 2", "axis 3", "axis 4"), 6),
        ((4, 3), ("axis 0", "axis 1"), 3),
    ],
)
def test_axes_without_time(shape: tuple[int, ...], axes: tuple[str, ...], width: int) -> None:
    network = wrap(Made(lambda x: torch.zeros(shape)), torch.zeros(2, 9), timed=False)
    point = network.hook_dict["hook_out"]
    assert (point.axes, point.width) == (axes, width)


def test_axes_are_those_of_the_last_pass() -> None:
    network = wrap(Made(lambda x: x[:, :5]))
    assert network.hook_dict["hook_out"].axes == ()
    for steps, name in ((5, "time"), (6, "axis 1"), (5, "time")):
        network(torch.zeros(2, steps, 3))
        assert network.hook_dict["hook_out"].axes[1] == name


class Shaped(nn.Module):
    """Positions of an image: of a size, by a stride, of a type."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., :2] if x.dtype == torch.int64 else x
        self.fine(x.float())
        return self.coarse(x.float())


def test_positions_depend_on_the_hook_the_shape_and_the_type() -> None:
    network = wrap(Shaped(), timed=False)
    small, large = torch.zeros(1, 4, 4), torch.zeros(1, 4, 8)
    for _ in range(2):
        assert network.positions(small, ["fine.hook_out"]) == 16
        assert network.positions(small, ["coarse.hook_out"]) == 4
        assert network.positions(large, ["fine.hook_out"]) == 32
        assert network.positions(small.long(), ["fine.hook_out"]) == 8
    assert network.runs == 4 + 2, "each is found once; at first each hook is read again"


def test_positions_are_those_of_the_module_as_it_now_is() -> None:
    module, image = Shaped(), torch.zeros(1, 4, 4)
    network = wrap(module, timed=False)
    assert network.positions(image, ["fine.hook_out"]) == 16
    module.fine.stride = (4, 4)
    assert network.positions(image, ["fine.hook_out"]) == 1
    module.fine = nn.Conv2d(1, 2, 3)
    assert network.positions(image, ["fine.hook_out"]) == 4
    assert network.positions(image, ["fine.hook_out"]) == 4
    assert network.runs == 3 + 3, "a changed module is read again at first"


def test_positions_of_an_input_that_decides_them_itself_are_checked() -> None:
    module = Made(lambda x: x[:, : int(x[0, 0, 0])])
    data = [np.full((4, 2), float(n)) for n in (4, 3)]
    network = wrap(module, timed=False)
    with pytest.raises(ValueError, match="position"):
        list(stream_activations(network, data, "hook_out", batch_positions=4))


def test_positions_after_a_change_that_no_attribute_shows_are_those_that_come() -> None:
    lengths = {"n": 4}
    network = wrap(Made(lambda x: x[:, : lengths["n"]]), timed=False)
    image = torch.arange(12.0).view(6, 2)
    assert network.positions(image, ["hook_out"]) == 4
    lengths["n"] = 3
    (batch,) = stream_activations(network, [image], "hook_out")
    torch.testing.assert_close(batch.acts["hook_out"], image[:3])
    assert network.positions(image, ["hook_out"]) == 3


class Convolution(nn.Module):
    """Steps to channels, a convolution over time, and back."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv1d(6, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(1, 2)).relu().transpose(1, 2)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_channels_that_are_as_many_as_the_steps_are_not_taken_for_them(steps: int) -> None:
    network = wrap(Convolution(steps))
    x = torch.randn(2, steps, 6)
    with pytest.raises(ValueError, match="but not as one of another length .* channels") as raised:
        list(stream_activations(network, x, "conv.hook_out"))
    assert "\n" not in str(raised.value)
    (batch,) = stream_activations(network, x, "hook_out")
    torch.testing.assert_close(batch.acts["hook_out"], network(x).flatten(0, 1))


@pytest.mark.parametrize(
    "module", [nn.Conv1d(5, 5, 3, padding=1), nn.Conv2d(5, 5, 3, padding=1), nn.BatchNorm1d(5)]
)
def test_a_module_that_reads_channels_first_is_not_read_as_time(module: nn.Module) -> None:
    shape = (2, 5, 9, 9) if isinstance(module, nn.Conv2d) else (2, 5, 9)
    with pytest.raises(ValueError, match="but not as one of another length .*channels, wrap"):
        list(stream_activations(wrap(module), torch.randn(shape), "hook_out"))


class Halves(nn.Module):
    """Pools two steps to one and repeats it, so that it reads even lengths alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, 2)).mean(2).repeat_interleave(2, 1) + x


def test_a_module_that_reads_even_lengths_alone_is_read() -> None:
    module = Halves()
    for steps in (2, 6):
        x = torch.randn(2, steps, 3)
        (batch,) = stream_activations(wrap(module), x, "hook_out")
        torch.testing.assert_close(batch.acts["hook_out"], module(x).flatten(0, 1))


class Fixed(nn.Module):
    """Adds a vector for each of five steps, and reads no other length."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(5, 6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.place


def test_a_module_that_reads_one_length_is_read_by_positions() -> None:
    module = Fixed()
    with pytest.raises(ValueError, match="reads one length only, wrap it with timed=False"):
        list(stream_activations(wrap(module), X, "hook_out"))
    (batch,) = stream_activations(wrap(module, timed=False), X, "hook_out")
    torch.testing.assert_close(batch.acts["hook_out"], module(X).detach().flatten(0, 1))


def test_a_second_length_is_read_once_for_each_hook() -> None:
    network = wrap(Convolution(4))
    runs = []
    for _ in range(3):
        list(stream_activations(network, X, "hook_out"))
        runs.append(network.runs)
    assert runs == [5, 7, 9], (
        "for the shapes and the batch; at first again, with a step less and alone"
    )

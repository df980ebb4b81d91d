"""A mean that is not finite is refused, as a position is."""

import numpy as np
import pytest
import torch

from worldscope.activations.inputs import as_inputs
from worldscope.activations.reader import Cursor, Reader
from worldscope.activations.settings import ReadSettings
from worldscope.networks.wrapped import wrap


class Log(torch.nn.Module):
    """Of 0 it is minus infinity, and of less no number."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.log()


def read_means(module: torch.nn.Module, data: list, dtype: torch.dtype) -> torch.Tensor:
    network = wrap(module, timed=True, pads=True)
    reader = Reader(network, as_inputs(data), "hook_out", ReadSettings(positions="mean"))
    (work,) = reader.works(Cursor())
    out = torch.empty(work.n_rows, 2, dtype=dtype)
    reader.read_into(work, {"hook_out": out})
    return out


@pytest.mark.parametrize("value", [0, -1])
def test_a_mean_over_what_is_not_finite_is_refused(value: float) -> None:
    data = [np.ones((4, 2), np.float32), np.ones((3, 2), np.float32)]
    assert torch.equal(read_means(Log(), data, torch.float32), torch.zeros(2, 2))
    data[1][2, 0] = value
    with pytest.raises(
        FloatingPointError, match=r"hook_out on average over input 1 is not finite in float3"
    ):
        read_means(Log(), data, torch.float32)


def test_a_mean_that_float16_cannot_hold_is_refused() -> None:
    """Whatever the single positions are: their mean is what is stored."""
    held, beyond = (np.array([[1e5, 0], [last, 0]], np.float32) for last in (0, 9e4))
    assert read_means(torch.nn.Identity(), [held], torch.float16)[0, 0] == 5e4
    with pytest.raises(FloatingPointError, match=r"beyond 65,504, the largest float16"):
        read_means(torch.nn.Identity(), [beyond], torch.float16)

"""What a wrapped module is given is of one kind, floats or whole numbers, and finite."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn

from worldscope.activations.stream import stream_activations
from worldscope.networks.char_lstm import lstm_of_tensorflow
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.mdn_rnn import MDNRNN, MIXTURES
from worldscope.networks.wrapped import wrap


def rows(network: HookedNetwork, data: Any, hook: str = "hook_out", **given: Any) -> Tensor:
    return torch.cat([part.acts[hook] for part in stream_activations(network, data, hook, **given)])


class Recurrent(nn.Module):
    """A GRU that is not by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(x)[0]


WHOLE: list[Any] = [[[1], [2], [3]], np.array([[1], [2], [3]]), torch.tensor([[1], [2], [3]])]
LARGE = 2**24 + 1
"""The first whole number that float32 does not hold."""


@pytest.mark.parametrize("whole", WHOLE)
def test_whole_numbers_are_floats_where_those_of_the_example_are(whole: Any) -> None:
    module = Recurrent()
    network = wrap(module, torch.zeros(1, 2, 1))
    expected = module(torch.tensor([[[1.0], [2.0], [3.0]]]))[0].detach()
    torch.testing.assert_close(rows(network, [whole]), expected)
    mixed = [whole, np.array([[1.0], [2.0], [3.0]])]
    torch.testing.assert_close(rows(network, mixed), expected.repeat(2, 1))
    torch.testing.assert_close(rows(wrap(module.gru), [whole], "gru.0.hook_h"), expected)


@pytest.mark.parametrize("whole", WHOLE)
def test_a_module_of_floats_that_refuses_whole_numbers_says_what_to_do(whole: Any) -> None:
    for call in (
        lambda: rows(wrap(Recurrent()), [whole]),
        lambda: wrap(Recurrent(), np.asarray(whole)[None]),
    ):
        with pytest.raises(ValueError, match=r"as they are; .* wrap an example of floats\)$"):
            call()


def test_fractions_for_an_example_of_whole_numbers_are_refused() -> None:
    network = wrap(nn.Embedding(9, 3), torch.zeros(1, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="row 0 of the data: .* float64, .* example of whole"):
        rows(network, [[1.0, 2.0]])
    expected = network(torch.tensor([1, 2]))
    for dtype in (np.uint8, np.int32, np.int64):
        torch.testing.assert_close(rows(network, [np.array([1, 2], dtype)]), expected)


class Parity(nn.Module):
    """Whether each number is odd, whatever its type."""

    def forward(self, x: Tensor) -> Tensor:
        return (x % 2).float().unsqueeze(-1)


@pytest.mark.parametrize("sizes", [(16, 32), (32, 64), (64, 64)])
def test_whole_numbers_of_several_sizes_are_read_to_the_last_digit(sizes: tuple[int, int]) -> None:
    types = [np.dtype(f"int{size}") for size in sizes]
    data = [np.array([min(LARGE, np.iinfo(dtype).max)] * 2, dtype) for dtype in types]
    assert rows(wrap(Parity()), data).flatten().tolist() == [1.0] * 4


@pytest.mark.parametrize("other", [np.float32, np.float64, np.bool_])
def test_inputs_of_two_kinds_in_one_batch_are_refused(other: type) -> None:
    data = [np.array([LARGE, 2]), np.ones(2, other)]
    kinds = {np.float64: np.float32}
    name = np.dtype(kinds.get(other, other)).name
    with pytest.raises(
        ValueError, match="inputs of one batch are .*; give all .* one type"
    ) as said:
        rows(wrap(Parity()), data)
    assert name in str(said.value)
    assert "int64" in str(said.value)


MDN_SHAPE = (3, 5)


def mdn_rnn() -> MDNRNN:
    """Three numbers of the latent and two of the action, all weights drawn."""
    lstm = lstm_of_tensorflow([torch.randn(5 + 4, 16)], [torch.randn(16)])
    outputs = 3 * 3 * MIXTURES
    return MDNRNN(lstm, torch.randn(4, outputs), torch.randn(outputs))


READERS: dict[str, Callable[[], HookedNetwork]] = {
    "wrapped": lambda: wrap(nn.Linear(5, 2)),
    "images": lambda: wrap(nn.Linear(5, 2), timed=False),
    "recurrent": lambda: wrap(nn.GRU(5, 2)),
    "world model": mdn_rnn,
}


@pytest.mark.parametrize("kind", READERS)
@given(
    array=hnp.arrays(
        np.float64,
        MDN_SHAPE,
        elements=st.floats(-9, 9) | st.sampled_from([np.nan, np.inf, -np.inf]),
    )
)
def test_an_input_is_read_exactly_when_every_number_is_finite(kind: str, array: np.ndarray) -> None:
    network = READERS[kind]()
    if np.isfinite(array).all():
        encoded: Any = network.encode(array)
        assert encoded.shape == MDN_SHAPE
        return
    first = np.argwhere(~np.isfinite(array))[0].tolist()
    with pytest.raises(ValueError) as said:
        network.encode(array)
    assert str(said.value).startswith(f"the input holds {array[tuple(first)]} at {first} in float")


def test_a_row_with_a_number_that_is_missing_is_named_and_not_the_weights() -> None:
    data = [np.zeros((3, 5)), np.full((3, 5), np.nan)]
    with pytest.raises(ValueError, match=r"row 1 of the data: the input holds nan at \[0, 0\]"):
        rows(wrap(nn.Linear(5, 2)), data)


def test_a_number_that_the_weights_type_does_not_hold_is_said() -> None:
    with pytest.raises(ValueError, match=r"holds inf at \[0\] in float16"):
        wrap(nn.Linear(1, 1).half()).encode([1e6])

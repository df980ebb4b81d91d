"""A linear layer and its GELU as one kernel give what the two of PyTorch give."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from worldscope.networks.linear_gelu import has_linear_gelu, linear_gelu

only_with_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this PyTorch is built without oneDNN"
)


@only_with_onednn
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), size=st.integers(1, 40))
@torch.no_grad()
def test_the_result_is_that_of_the_two_steps_in_float64(shape: list[int], size: int) -> None:
    draw = torch.Generator().manual_seed(size)
    x, weight, bias = (
        torch.randn(axes, generator=draw) for axes in ((*shape, size), (7, size), (7,))
    )
    assert has_linear_gelu(x)
    found = linear_gelu(x, weight, bias)
    exact = functional.linear(x.double(), weight.double(), bias.double())
    assert found.shape == (*shape, 7)
    torch.testing.assert_close(
        found.double(), functional.gelu(exact, approximate="tanh"), rtol=0, atol=2e-5
    )


@only_with_onednn
@torch.no_grad()
def test_autocast_sets_the_type() -> None:
    x, weight, bias = torch.randn(3, 8), torch.randn(5, 8), torch.randn(5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = linear_gelu(x, weight, bias)
        expected = functional.gelu(functional.linear(x, weight, bias), approximate="tanh")
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected.float(), rtol=0.02, atol=0.02)


def test_it_is_not_for_gradients_nor_for_other_types_and_devices() -> None:
    assert not has_linear_gelu(torch.randn(2, 3))
    with torch.no_grad():
        assert not has_linear_gelu(torch.randn(2, 3).half())
        assert not has_linear_gelu(torch.randn(2, 3, device="meta"))

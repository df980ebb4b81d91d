"""Facts about weights in eight bits."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from worldscope.networks.quantised import pack_8bit, unpack_8bit

matrices = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32),
)


@given(matrix=matrices)
def test_an_entry_is_off_by_at_most_half_of_its_row_s_scale(matrix: np.ndarray) -> None:
    restored = unpack_8bit(pack_8bit({"w": torch.from_numpy(matrix)}))["w"].double().numpy()
    scale = np.abs(matrix.astype(np.float64)).max(axis=1, keepdims=True) / 127
    rounding = 1e-6 * np.abs(matrix) + 1e-14
    assert (np.abs(restored - matrix) <= scale / 2 + rounding).all()


@given(matrix=matrices)
def test_what_was_restored_once_is_restored_again(matrix: np.ndarray) -> None:
    once = unpack_8bit(pack_8bit({"w": torch.from_numpy(matrix)}))
    twice = unpack_8bit(pack_8bit(once))
    torch.testing.assert_close(once["w"], twice["w"], rtol=1e-5, atol=1e-13)


def test_the_largest_of_a_row_keeps_its_value_and_zero_stays_zero() -> None:
    matrix = torch.tensor([[0.0, -3.0, 1.0], [0.0, 0.0, 0.0]])
    restored = unpack_8bit(pack_8bit({"w": matrix}))["w"]
    torch.testing.assert_close(restored[0, 1], matrix[0, 1])
    assert (restored[1] == 0).all()
    assert restored[0, 0] == 0


def test_vectors_pass_as_they_are_and_matrices_take_a_quarter() -> None:
    packed = pack_8bit({"w": torch.randn(64, 64), "b": torch.randn(64)})
    assert packed["w"].dtype == torch.int8
    restored = unpack_8bit(packed)
    assert set(restored) == {"w", "b"}
    assert torch.equal(restored["b"], packed["b"])
    size = sum(t.numel() * t.element_size() for name, t in packed.items() if name != "b")
    assert size < 0.27 * 64 * 64 * 4

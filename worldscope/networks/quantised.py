"""Weights as 8-bit integers with one scale for each row: checkpoints at a quarter of the size."""

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".row_scale"


def pack_8bit(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices to int8 with a float32 scale for each row; vectors stay as they are.

    An entry is wrong by at most half its row's scale, which is the row's largest magnitude / 127.
    """
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2:
            packed[name] = tensor
            continue
        scale = tensor.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        packed[name] = torch.round(tensor / scale).to(torch.int8)
        packed[name + _SCALE] = scale
    return packed


def unpack_8bit(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `pack_8bit`; tensors that were not packed pass through."""
    return {
        name: tensor * tensors[name + _SCALE] if name + _SCALE in tensors else tensor
        for name, tensor in tensors.items()
        if not name.endswith(_SCALE)
    }

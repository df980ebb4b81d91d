"""Weights as 8-bit integers with one scale for each row: checkpoints at a quarter of the size."""

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".row_scale"


def pack_8bit(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices to int8 and a float32 scale a row, with error at most half a scale; vectors as is."""
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
        name: tensor.float() * tensors[name + _SCALE] if tensor.dtype == torch.int8 else tensor
        for name, tensor in tensors.items()
        if not name.endswith(_SCALE)
    }

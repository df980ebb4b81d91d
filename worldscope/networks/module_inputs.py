"""What a wrapped module is given: a batch of arrays in its own type, and further arguments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from worldscope.networks.arithmetic import type_name


def as_tensor(value: Any) -> Shaped[Tensor, "..."]:
    """An array as a tensor.

    Raises:
        ValueError: If it is text or otherwise no array.
    """
    try:
        if isinstance(value, Tensor):
            tensor = value.detach()
        else:
            array = np.asarray(value)
            tensor = torch.from_numpy(np.ascontiguousarray(array, array.dtype.newbyteorder("=")))
            tensor = tensor.reshape(array.shape)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"a wrapped module reads arrays, not {type(value).__name__} ({value!r:.40})"
        ) from None
    if tensor.is_complex():
        raise ValueError("the input is of complex numbers; give real and imaginary parts as units")
    return tensor


def check_finite(tensor: Shaped[Tensor, "..."]) -> None:
    """Raises:
    ValueError: If a number of an input is not finite.
    """
    if tensor.is_floating_point() and not tensor.isfinite().all():
        place = (~tensor.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"the input holds {tensor[tuple(place)].item()} at {place} in "
            f"{type_name(tensor.dtype)}; fill in what is missing, or leave the input out"
        )


def in_type_of(module: nn.Module, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Fractions and uint8 in the type of the weights; whole numbers as they are.

    Of a module without weights float64 and uint8 become float32, with the same values.
    """
    if not tensor.is_floating_point() and tensor.dtype != torch.uint8:
        return tensor
    own = (p.dtype for p in module.parameters() if p.is_floating_point())
    plain = tensor.dtype in (torch.float64, torch.uint8)
    return tensor.to(next(own, torch.float32 if plain else tensor.dtype))


def in_kind_of(example: bool | None, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Numbers as floats where those of an example are, as whole numbers where they are not.

    Args:
        example: Whether it is of floats; None without one.
        tensor: The numbers.

    Raises:
        ValueError: If they are floats, and those of the example are not.
    """
    if example is None or tensor.is_floating_point() == example:
        return tensor.long() if example is False and tensor.dtype == torch.uint8 else tensor
    if example:
        return tensor.double()
    raise ValueError(
        f"the input is of {type_name(tensor.dtype)}, and wrap's example of whole numbers; give "
        "these, or an example of floats"
    )


def arguments(given: object, device: torch.device) -> dict[str, Any]:
    """Further arguments of a module, arrays as tensors on a device.

    Raises:
        ValueError: If they are no mapping.
    """
    if not isinstance(given, Mapping):
        raise ValueError(
            f"keywords gave a {type(given).__name__}; it must return a mapping of arguments"
        )
    arrays = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in given.items()
    }
    return {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in arrays.items()
    }


def extent(given: Sequence[Any], timed: bool) -> tuple[int | None, int | None]:
    """Inputs of a batch and, of sequences, their steps, by the first tensor with such axes."""
    for value in given:
        if isinstance(value, Tensor) and value.ndim > timed:
            return value.shape[0], value.shape[1] if timed else None
    return None, None

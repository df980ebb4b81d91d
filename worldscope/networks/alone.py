"""Whether an input is read in a batch as it is alone."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

Read = Callable[[Tensor, np.ndarray], Mapping[str, Tensor]]


def check_read_alone(
    reads: Mapping[str, Float[Tensor, "..."]],
    inputs: Shaped[Tensor, "batch ..."],
    lengths: Int[np.ndarray, " batch"],
    read: Read,
    *,
    timed: bool,
) -> None:
    """Reads the last input of a batch, the shortest, alone and without padding, and compares.

    They may differ by a third of the square root of their type's precision, times the largest
    activation: by 1e-4 of it in float32, 3e-2 in bfloat16.

    Args:
        reads: What was read of the batch, (batch, positions, …); what is not is left out.
        inputs: The batch, the longest first, padded at the end.
        lengths: Steps of each.
        read: Reads inputs, given with their lengths.
        timed: Whether axis 1 of the inputs and of what is read is their time.

    Raises:
        ValueError: If the input is read otherwise.
    """
    length = int(lengths[-1]) if timed else None
    one = inputs[-1:]
    alone = read(one[:, :length] if timed else one, lengths[-1:])
    for name, acts in reads.items():
        if len(acts) == len(inputs) and not _equal(acts[-1, :length], alone[name][0]):
            why = (
                "padding changes it: wrap the module without pads=True, or mask by keywords"
                if lengths[-1] < lengths.max()
                else "the module mixes the inputs of a batch: axis 0 of what it is given is the "
                "batch, so see whether its parts have batch_first=True"
            )
            raise ValueError(f"{name} of an input is another in a batch than alone; {why}")


def _equal(one: Float[Tensor, "..."], other: Float[Tensor, "..."]) -> bool:
    if one.shape != other.shape:
        return False
    finite = other[other.isfinite()].double().abs()
    largest = float(finite.max()) if finite.numel() else 0.0
    tolerance = torch.finfo(other.dtype).eps ** 0.5 / 3 * largest
    return torch.allclose(one.double(), other.double(), rtol=0, atol=tolerance, equal_nan=True)

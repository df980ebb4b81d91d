"""Whether an input is read in a batch as it is alone."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

Read = Callable[[Tensor, np.ndarray], Mapping[str, Tensor]]


def check_read_alone(
    reads: Mapping[str, Float[Tensor, "batch time ..."]],
    inputs: Shaped[Tensor, "batch time ..."],
    lengths: Int[np.ndarray, " batch"],
    read: Read,
) -> None:
    """Reads the shortest input of a batch alone, without padding, and compares.

    They may differ by a third of the square root of their type's precision, times the largest
    activation: by 1e-4 of it in float32, 3e-2 in bfloat16.

    Args:
        reads: What was read of the batch.
        inputs: The batch, padded at the end.
        lengths: Steps of each.
        read: Reads inputs, given with their lengths.

    Raises:
        ValueError: If the input is read otherwise.
    """
    row = int(lengths.argmin())
    length = int(lengths[row])
    alone = read(inputs[row : row + 1, :length], lengths[row : row + 1])
    for name, acts in reads.items():
        if not _equal(acts[row, :length], alone[name][0]):
            why = (
                "padding changes it: wrap the module without pads=True, or mask by keywords"
                if length < lengths.max()
                else "the module mixes the inputs of a batch: it is given (batch, time, …), so "
                "see whether its parts have batch_first=True"
            )
            raise ValueError(f"{name} of an input is another in a batch than alone; {why}")


def _equal(one: Float[Tensor, "..."], other: Float[Tensor, "..."]) -> bool:
    if one.shape != other.shape:
        return False
    finite = other[other.isfinite()].double().abs()
    largest = float(finite.max()) if finite.numel() else 0.0
    tolerance = torch.finfo(other.dtype).eps ** 0.5 / 3 * largest
    return torch.allclose(one.double(), other.double(), rtol=0, atol=tolerance, equal_nan=True)

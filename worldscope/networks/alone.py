"""Whether an input is read in a batch as it is alone."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

_ROUNDED = 16
"""Units in the last place of the largest activation that sums in another order may differ by."""
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
    activation of their unit: by 1e-4 of it in float32, 3e-2 in bfloat16; and by what rounding may
    take from the largest activation of all.

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
        if len(acts) == len(inputs) and not nearly_equal(acts[-1, :length], alone[name][0]):
            why = (
                "padding changes it: wrap the module without pads=True, or mask by keywords"
                if lengths[-1] < lengths.max()
                else "the module mixes the inputs of a batch: axis 0 of what it is given is the "
                "batch, so see whether its parts have batch_first=True"
            )
            raise ValueError(f"{name} of an input is another in a batch than alone; {why}")


def nearly_equal(one: Float[Tensor, "..."], other: Float[Tensor, "..."]) -> bool:
    """Whether two readings of the same are the same but for rounding; see `check_read_alone`."""
    if one.shape != other.shape:
        return False
    if other.numel() == 0:
        return True
    sizes = torch.where(other.isfinite(), other, 0).double().abs().flatten(0, -2)
    eps = torch.finfo(other.dtype).eps
    of_unit, rounding = eps**0.5 / 3 * sizes.amax(0), _ROUNDED * eps * sizes.max()
    tolerance = torch.minimum(of_unit + rounding, eps**0.5 / 3 * sizes.max())
    same = (one == other) | (one.isnan() & other.isnan())
    return bool((same | ((one.double() - other.double()).abs() <= tolerance)).all())

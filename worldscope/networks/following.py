"""Whether axis 1 of what is read is the time of the inputs, or only as long."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from worldscope.networks.refusals import REFUSALS

Read = Callable[[Tensor, Int[np.ndarray, " batch"]], Mapping[str, Tensor]]
"""Reads inputs, given with their steps; refuses where axis 1 is not as long as they are."""


def check_time(one: Shaped[Tensor, "1 time ..."], read: Read) -> None:
    """Reads an input without its last step or, where that cannot be read, twice in a row.

    Channels of a convolution may be as many as the steps of an input, but not of both.

    Args:
        one: A batch of one input, which has been read.
        read: What reads it at another length.

    Raises:
        ValueError: If axis 1 of what is read follows to no other length.
    """
    said: list[str] = []
    for other in _of_other_lengths(one):
        try:
            read(other, np.array([other.shape[1]]))
            return
        except torch.OutOfMemoryError:
            raise
        except REFUSALS as error:
            said.append(str(error))
    raise ValueError(
        f"what is read is as long as an input of {one.shape[1]} steps, but not as one of another "
        f"length ({said[0]:.120}): if axis 1 is channels, wrap a module that reads (batch, time, "
        "…); if the module reads one length only, wrap it with timed=False"
    )


def _of_other_lengths(one: Tensor) -> Iterator[Tensor]:
    if one.shape[1] > 1:
        yield one[:, :-1]
    yield torch.cat([one, one], dim=1)

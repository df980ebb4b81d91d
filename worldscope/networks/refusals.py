"""What a module says of inputs that it cannot read, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

REFUSALS = (
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a module raises of inputs that it cannot read."""
_WHOLE = " (whole numbers are given as they are; where floats are read, wrap an example of floats)"


@contextmanager
def saying_what_is_refused(kind: str, batch: Tensor) -> Iterator[None]:
    """Turns what a module raises inside a `with` block into one sentence; a full memory is left.

    Args:
        kind: What the batch is, such as `an example`.
        batch: What the module reads.

    Raises:
        ValueError: If the module refuses it.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except REFUSALS as error:
        said = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        floats = "" if batch.is_floating_point() else _WHOLE
        raise ValueError(
            f"the module refuses {kind} of the shape {tuple(batch.shape)}: {said}{floats}"
        ) from error

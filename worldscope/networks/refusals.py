"""What a module says of inputs that it cannot read, in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_REFUSALS = (
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


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
    except _REFUSALS as error:
        said = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise ValueError(
            f"the module refuses {kind} of the shape {tuple(batch.shape)}: {said}"
        ) from error

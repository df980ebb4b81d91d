"""What a network gives of a batch: exactly the positions that were planned, or an error."""

from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from worldscope.networks.arithmetic import type_name
from worldscope.networks.hooked import HookedNetwork, Piece

_CHUNK = 64
"""Steps of a recurrence that are read together."""


def read_pieces(
    network: HookedNetwork,
    items: Sequence[Shaped[Tensor, "..."]],
    lengths: Int[np.ndarray, " batch"],
    names: Sequence[str],
) -> Iterator[Piece]:
    """The network's reads of some inputs, piece by piece of time.

    Args:
        network: What reads.
        items: Encoded inputs, the longest first; floats of several types, or whole numbers, are
            read as the type that holds the values of all.
        lengths: Positions of each.
        names: Canonical hook names.

    Raises:
        ValueError: If some inputs are floats and others are not, or the reads are not of exactly
            these positions.
    """
    dtype = _common_type(items)
    inputs = pad_sequence([item.to(dtype) for item in items], batch_first=True)
    end = 0
    for piece in network.stream_reads(inputs, lengths, names, chunk=_CHUNK):
        planned = int((lengths > end).sum()), min(piece.end, int(lengths[0])) - end
        for name, acts in piece.reads.items():
            if piece.start != end or acts.shape[:2] != planned:
                raise ValueError(
                    f"{name} gives {tuple(acts.shape[:2])} inputs and positions from position "
                    f"{piece.start} on; {planned} from {end} on were to come"
                )
        end = piece.end
        yield piece
    if end != lengths[0]:
        raise ValueError(
            f"{', '.join(names)} give {end} positions for an input of {lengths[0]}; what the "
            "network says of an input before it reads it must hold when it does"
        )


def _common_type(items: Sequence[Tensor]) -> torch.dtype:
    """The type that holds the values of all items, which are of one kind."""
    types = {item.dtype for item in items}
    if len({(dtype.is_floating_point, dtype == torch.bool) for dtype in types}) > 1:
        said = " and ".join(sorted(type_name(dtype) for dtype in types))
        raise ValueError(
            f"inputs of one batch are {said}, which a module may read differently; give all inputs "
            "in one type"
        )
    return reduce(torch.promote_types, types)

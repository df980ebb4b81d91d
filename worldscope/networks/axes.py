"""Which axis of an activation of a wrapped module is which, and where its positions are."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

_TIMED = {
    3: ("batch", "time", "d"),
    4: ("batch", "time", "head", "d"),
}
_UNTIMED = {
    2: ("batch", "d"),
    3: ("batch", "position", "d"),
    4: ("batch", "channel", "height", "width"),
}


def axes_of(shape: Sequence[int], size: int | None, time: int | None) -> tuple[str, ...]:
    """Names of the axes of an activation; `axis 2` for one of which nothing is known.

    Args:
        shape: Of the activation.
        size: Inputs of the batch, if it is known.
        time: Steps of each input; None for inputs without time.
    """
    plain = tuple(f"axis {n}" for n in range(len(shape)))
    if not shape or shape[0] != size:
        return plain
    if time is None:
        return _UNTIMED.get(len(shape), ("batch", *plain[1:]))
    if len(shape) == 2:
        return ("batch", "d")
    if len(shape) > 2 and shape[1] == time:
        return _TIMED.get(len(shape), ("batch", "time", *plain[2:]))
    return ("batch", *plain[1:])


def width_of(shape: Sequence[int], axes: tuple[str, ...]) -> int:
    """Size of the axis along which an activation is one vector: channels of an image, or the last.

    1 where there is no axis.
    """
    if "channel" in axes:
        return shape[axes.index("channel")]
    return shape[-1] if shape else 1


def in_steps(
    name: str, acts: Float[Tensor, "..."], time: int | None
) -> Float[Tensor, "batch steps ..."]:
    """Activations with their positions on axis 1.

    Without time, (batch, d) is one position, and the places of (batch, channel, height, width) are
    positions with channels last.

    Raises:
        ValueError: If the activation has no axis of positions.
    """
    if time is not None:
        if acts.ndim > 2 and acts.shape[1] == time:
            return acts
        raise ValueError(
            f"{name} has the shape {tuple(acts.shape)} for inputs of {time} steps: its axis 1 is "
            "not their time, so that it has no positions to record; read it by run_with_cache or "
            "capture, or wrap the module with timed=False"
        )
    match acts.ndim:
        case 2:
            return acts.unsqueeze(1)
        case 3:
            return acts
        case 4:
            return acts.permute(0, 2, 3, 1).flatten(1, 2)
    raise ValueError(f"{name} has {acts.ndim} axes; a stream needs two, three or four")

"""What is read and edited in one forward pass of a wrapped module."""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from worldscope.networks.axes import axes_of, width_of
from worldscope.networks.hooked import HookPoint

Reads = dict[str, Float[Tensor, "..."]]
"""Activations by canonical hook name."""


class Enough(BaseException):
    """Ends a forward pass once everything wanted has been read."""


class Pass:
    """What is read and edited in one forward pass."""

    def __init__(
        self,
        points: dict[str, HookPoint],
        wanted: Callable[[str], bool],
        *,
        extent: tuple[int | None, int | None],
        enough: int | None,
    ):
        """Nothing is read yet.

        Args:
            points: Hook points by name; those that the pass shows are added.
            wanted: Whether to read what has a name.
            extent: Inputs of the batch and their steps, None for what it has not.
            enough: After how many reads the pass may end; None to run it to its end.
        """
        self.points, self.wanted, self.extent, self.enough = points, wanted, extent, enough
        self.reads: Reads = {}
        self.other: set[str] = set()
        """Names under which something came that is no floating tensor."""

    def needs(self, name: str) -> bool:
        """Whether a value of this name would be read or edited."""
        return self.wanted(name) or (name in self.points and bool(self.points[name].edits))

    def show(self, name: str, shape: Sequence[int]) -> HookPoint:
        """The hook point of a name, with the axes and the width of what it now gives."""
        point = self.points.setdefault(name, HookPoint(name, 0, ()))
        point.axes = axes_of(shape, *self.extent)
        point.width = width_of(shape, point.axes)
        return point

    def visit(self, name: str, value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """What the module goes on with in place of a value."""
        point = self.show(name, value.shape)
        edited = point.edited(value) if point.edits else value
        self.keep(name, edited)
        return edited

    def keep(self, name: str, value: Float[Tensor, "..."]) -> None:
        """Reads a value if it is wanted: a copy, as a later module may work in place on it.

        Raises:
            Enough: If nothing more is wanted.
        """
        if self.wanted(name):
            self.reads[name] = value.detach().clone()
            if len(self.reads) == self.enough:
                raise Enough

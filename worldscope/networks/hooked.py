"""Hook points and the interface that every network of ours answers.

The interface is TransformerLens' (`hook_dict`, `hooks`, `run_with_cache`), held here in a few lines
so that opening a recurrent network does not load a transformer library.

A recurrent network is *read* through stacked tensors (batch, time, d), taken after any edit, and
*edited* by functions that are called once for each step with (batch, 1, d), so that an edit at t
changes everything after t.
"""

import difflib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

Edit = Callable[[Tensor, "HookPoint"], Tensor | None]


@dataclass
class HookPoint:
    """A named place in a network where activations are read or edited."""

    name: str
    """Canonical name, such as `lstm.0.hook_c`."""
    width: int
    """Size of the last axis."""
    axes: tuple[str, ...] = ("batch", "time", "d")
    """Names of the axes of a read tensor."""
    step: int = 0
    """Inside an edit: the time step of the value, counted from the first symbol of this call."""
    edits: list[Edit] = field(default_factory=list)
    """Functions applied in order; each returns a new value, or None to leave it."""
    fired: bool = False
    """Whether an edit of this point has been called since it was last added."""

    def apply(self, value: Tensor, step: int) -> Tensor:
        """Passes a (batch, d) value of one step through the edits."""
        self.step = step
        self.fired = True
        for edit in self.edits:
            edited = edit(value.unsqueeze(1), self)
            if edited is not None:
                value = edited.squeeze(1)
        return value


class HookedNetwork(nn.Module):
    """Base of the networks whose forward pass is ours: named hook points, edits as `with` blocks."""

    hook_dict: dict[str, HookPoint]
    """Every hook point by its canonical name."""

    def hook_name(self, name: str) -> str:
        """The canonical name of a hook point.

        Raises:
            LookupError: If there is no such point; the nearest names are given.
        """
        if name in self.hook_dict:
            return name
        tails = [full for full in self.hook_dict if full.endswith("." + name)]
        if len(tails) == 1:
            return tails[0]
        near = difflib.get_close_matches(name, self.hook_dict, n=3, cutoff=0.3)
        raise LookupError(
            f"no hook point is called {name!r}; "
            f"{'the nearest are' if near else 'there are'} {', '.join(near or self.hook_dict)}"
        )

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[tuple[str, Edit]]) -> Iterator["HookedNetwork"]:
        """Applies edits inside a `with` block and removes them afterwards, whatever happened.

        Args:
            fwd_hooks: Pairs of a hook name and a function `(value (batch, 1, d), hook) -> value`.

        Raises:
            LookupError: If a name is unknown.
            RuntimeError: If the network ran in the block and an edit was never called.
        """
        points = [(self.hook_dict[self.hook_name(name)], edit) for name, edit in fwd_hooks]
        for point, edit in points:
            point.edits.append(edit)
            point.fired = False
        runs_before = self.runs
        try:
            yield self
            silent = [point.name for point, _ in points if not point.fired]
            if silent and self.runs > runs_before:
                raise RuntimeError(f"the network ran, but the edit at {silent[0]} was never called")
        finally:
            for point, edit in points:
                point.edits.remove(edit)

    runs: int = 0
    """Number of forward calls so far; lets `hooks` notice an edit that never fired."""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name these weights: equal exactly when they are."""
        total = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return total.hexdigest()[:16]

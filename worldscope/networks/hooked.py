"""Hook points and the interface that every network of ours answers.

The interface is TransformerLens' (`hook_dict`, `hooks`, `run_with_cache`), held here in a few lines
so that opening a recurrent network does not load a transformer library.

A recurrent network is *read* through stacked tensors (batch, time, d), taken after any edit, and
*edited* by functions that are called once for each step with (batch, 1, d), so that an edit at t
changes everything after t.
"""

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

Edit = Callable[[Tensor, "HookPoint"], Tensor | None]
NamesFilter = str | Sequence[str] | Callable[[str], bool] | None


@dataclass
class HookPoint:
    """A named place in a network where activations are read or edited."""

    name: str
    """Canonical name, such as `lstm.0.hook_c`."""
    width: int
    """Size of the last axis."""
    axes: tuple[str, ...] = ("batch", "time", "d")
    """Names of the axes of a read tensor."""
    editable: bool = True
    """Whether the network goes on with what an edit returns."""
    step: int = 0
    """Inside an edit: the time step of the value, counted from the first symbol of this call."""
    edits: dict[object, Edit] = field(default_factory=dict)
    """Functions applied in order, each under a key of its own (the same one may be there twice)."""
    calls: int = 0
    """How many steps have passed through the edits so far."""

    def apply(self, value: Float[Tensor, "batch d"], step: int) -> Float[Tensor, "batch d"]:
        """Passes the value of one step of a recurrence through the edits, as (batch, 1, d)."""
        self.step = step
        return self.edited(value.unsqueeze(1)).squeeze(1)

    def edited(self, value: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Passes a value through the edits.

        Each returns a tensor of the shape that it receives, or None if it left it or changed it in
        place.

        Raises:
            ValueError: If an edit returns another shape.
        """
        self.calls += 1
        for edit in self.edits.values():
            changed = edit(value, self)
            if changed is None:
                continue
            if changed.shape != value.shape:
                raise ValueError(
                    f"an edit at {self.name} returned shape {tuple(changed.shape)}; "
                    f"it must return {tuple(value.shape)} or None"
                )
            value = changed.to(value)
        return value


class HookedNetwork(nn.Module):
    """Base of the networks whose forward pass is ours: named hook points and edits of them."""

    hook_dict: dict[str, HookPoint]
    """Every hook point by its canonical name."""
    aliases: Mapping[str, str] = {}
    """Canonical name of every other name of a hook point."""
    runs: int = 0
    """Number of forward passes so far."""

    def hook_name(self, name: str) -> str:
        """The canonical name of a hook point.

        Raises:
            LookupError: If there is no such point; the nearest names are given.
        """
        if name in self.hook_dict:
            return name
        if name in self.aliases:
            return self.aliases[name]
        tails = [full for full in self.hook_dict if full.endswith("." + name)]
        if len(tails) == 1:
            return tails[0]
        known = [*self.hook_dict, *self.aliases]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        raise LookupError(
            f"no hook point is called {name!r}; "
            f"{'the nearest are' if near else 'there are'} {', '.join(near or self.hook_dict)} "
            "(`worldscope hooks` lists all)"
        )

    def hook_names(self, names_filter: NamesFilter = None) -> list[str]:
        """The canonical names that a filter of TransformerLens' kind keeps.

        Args:
            names_filter: A name, several, a function that is true of a name, or None for all.

        Raises:
            LookupError: If a name is unknown.
        """
        if names_filter is None:
            return list(self.hook_dict)
        if callable(names_filter):
            return [name for name in self.hook_dict if names_filter(name)]
        given = [names_filter] if isinstance(names_filter, str) else names_filter
        return [self.hook_name(name) for name in given]

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[tuple[str, Edit]]) -> Iterator["HookedNetwork"]:
        """Applies edits inside a `with` block and removes them afterwards, whatever happened.

        Args:
            fwd_hooks: Pairs of a hook name and a function `(value (batch, 1, d), hook) -> value`.

        Raises:
            LookupError: If a name is unknown.
            ValueError: If the network would not go on with what an edit of that hook returns.
            RuntimeError: If the network ran in the block and an edit was never called.
        """
        for name, _ in fwd_hooks:
            if not self.hook_dict[self.hook_name(name)].editable:
                raise ValueError(f"{name} can be read but not edited: the network goes on without")
        added = [(object(), self.hook_dict[self.hook_name(name)], edit) for name, edit in fwd_hooks]
        for key, point, edit in added:
            point.edits[key] = edit
        calls = [point.calls for _, point, _ in added]
        runs = self.runs
        try:
            yield self
            for (_, point, _), before in zip(added, calls, strict=True):
                if point.calls == before and self.runs > runs:
                    raise RuntimeError(
                        f"the network ran, but the edit at {point.name} was never called"
                    )
        finally:
            for key, point, _ in added:
                del point.edits[key]

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name these weights: equal exactly when they are."""
        total = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return total.hexdigest()[:16]


def describe_hooks(network: HookedNetwork) -> str:
    """A table of the hook points of a network, a line each."""
    others: dict[str, list[str]] = {}
    for alias, name in network.aliases.items():
        others.setdefault(name, []).append(alias)
    rows = [("name", "axes", "width", "edits", "also called")]
    rows += [
        (
            point.name,
            ", ".join(point.axes),
            str(point.width),
            "yes" if point.editable else "no",
            ", ".join(others.get(point.name, [])),
        )
        for point in network.hook_dict.values()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)

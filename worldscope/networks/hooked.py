"""Hook points and the interface that every network of ours answers.

The interface is TransformerLens' (`hook_dict`, `hooks`, `run_with_cache`), held here in a few lines
so that opening a recurrent network does not load a transformer library.

A recurrent network is *read* through stacked tensors (batch, time, d), taken after any edit, and
*edited* by functions that are called once for each step with (batch, 1, d), so that an edit at t
changes everything after t.
"""

import difflib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from worldscope.networks.arithmetic import type_name
from worldscope.networks.digest import network_digest, specify_modules
from worldscope.networks.one_thread import OneThread

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

    def apply(self, value: Float[Tensor, "batch ..."], step: int) -> Float[Tensor, "batch ..."]:
        """Passes the value of one step of a recurrence through the edits, as (batch, 1, …)."""
        self.step = step
        return self.edited(value.unsqueeze(1)).squeeze(1)

    def edited(self, value: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Passes a copy of a value through the edits.

        Each returns a tensor of the shape that it receives, or None if it left it or changed it in
        place. What is gone on with shares no memory with the value, nor with what an edit returned.

        Raises:
            ValueError: If an edit returns another shape.
        """
        self.calls += 1
        value = value.clone()
        for edit in self.edits.values():
            changed = edit(value, self)
            if changed is None or changed is value:
                continue
            if changed.shape != value.shape:
                raise ValueError(
                    f"an edit at {self.name} returned shape {tuple(changed.shape)}; "
                    f"it must return {tuple(value.shape)} or None"
                )
            value = changed.to(value, copy=True)
        return value


class Piece(NamedTuple):
    """Activations of a batch over a piece of time."""

    start: int
    """Where the piece begins, in positions."""
    end: int
    """Where the longest input that reaches into it ends, or the piece."""
    reads: dict[str, Float[Tensor, "alive steps ..."]]
    """Activations by canonical hook name, of the inputs that reach into the piece."""


class Listener(NamedTuple):
    """Who is told of what is read."""

    names: Sequence[str]
    """Canonical hook names."""
    passes: list[dict[str, Tensor]]
    """What was read in each forward pass so far."""


class HookedNetwork(nn.Module):
    """Base of every network: named hook points, edits of them, and inputs of its own kind.

    One thread at a time uses it: a forward pass, or a block of `hooks` or `listening`, is refused
    with a `RuntimeError` while another thread is in one. Two networks around one module do not see
    each other: use these in one thread, too.
    """

    hook_dict: dict[str, HookPoint]
    """Every hook point by its canonical name."""
    aliases: Mapping[str, str] = {}
    """Canonical name of every other name of a hook point."""
    instead: Mapping[str, str] = {}
    """What to edit in place of a hook that shows more than an edit of it would move, by name."""
    name: str | None = None
    """What it was loaded by, if by a name or from a folder."""
    runs: int = 0
    """Number of forward passes so far."""
    context: int | None = None
    """Largest number of positions that are read together; None where there is no limit."""
    pads: bool = True
    """Whether what follows the end of an input in a batch leaves its activations as they are."""
    timed: bool = True
    """Whether axis 0 of an encoded input is time."""
    dtype: torch.dtype = torch.float32
    """Type of the matrix products."""
    listeners: tuple[Listener, ...] = ()
    """Who is told of what is read in every forward pass."""

    def __init__(self):
        """No thread is using it."""
        super().__init__()
        self.one_thread = OneThread()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @abstractmethod
    def encode(self, value: Any, /) -> Sequence[int] | Shaped[Tensor, "positions ..."]:
        """One input, as a row of a world holds it, as this network reads it; axis 0 is time.

        Raises:
            ValueError: If the network cannot read it; the sentence says what it can read.
        """

    def positions(self, item: Shaped[Tensor, "..."], names: Sequence[str]) -> int:
        """How many positions `stream_reads` gives for an encoded input at these hooks."""
        return len(item)

    @abstractmethod
    def stream_reads(
        self,
        inputs: Shaped[Tensor, "batch time ..."],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
        *,
        chunk: int,
    ) -> Iterator[Piece]:
        """Reads inputs without gradients, piece by piece of time, and no further than the hooks.

        A piece holds the inputs that reach into it, and ends where the longest of them does. Pieces
        follow each other without a gap or an overlap.

        Args:
            inputs: Encoded inputs, the longest first, padded at the end.
            lengths: Positions of each.
            names: Canonical hook names.
            chunk: Steps of a piece, where the network can choose.

        Raises:
            ValueError: If a hook has no axes of batch and positions.
        """

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
        outputs = [full for full in self.hook_dict if full.startswith(f"{name}.hook_out")]
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        near = list(dict.fromkeys([*outputs, *close]))[:3]
        raise LookupError(
            f"no hook point is called {name!r}; "
            f"{'the nearest are' if near else 'there are'} {', '.join(near or self.hook_dict)} "
            "(`worldscope hooks` lists all)"
        )

    def hook_names(self, names_filter: NamesFilter = None) -> list[str]:
        """The canonical names that a filter of TransformerLens' kind keeps.

        Args:
            names_filter: A name, several, a function that is true of a name or of one of its
                aliases, or None for all.

        Raises:
            LookupError: If a name is unknown, or none passes the filter.
        """
        if names_filter is None:
            return list(self.hook_dict)
        if callable(names_filter):
            also = [name for alias, name in self.aliases.items() if names_filter(alias)]
            kept = [name for name in self.hook_dict if names_filter(name) or name in also]
            if not kept:
                raise LookupError(
                    "no hook point's name or alias passes the filter (`worldscope hooks` lists all)"
                )
            return kept
        given = [names_filter] if isinstance(names_filter, str) else names_filter
        return [self.hook_name(name) for name in given]

    @contextmanager
    def hooks(self, fwd_hooks: Sequence[tuple[str, Edit]]) -> Iterator["HookedNetwork"]:
        """Applies edits inside a `with` block and removes them afterwards, whatever happened.

        Args:
            fwd_hooks: Pairs of a hook name and a function `(value (batch, 1, d), hook) -> value`.

        Raises:
            LookupError: If a name is unknown.
            ValueError: If the network would not go on with what an edit of that hook returns, or
                the name stands in `instead`.
            RuntimeError: If the network ran in the block and an edit was never called, or another
                thread is using it.
        """
        for name, _ in fwd_hooks:
            self._check_editable(name)
        with self.one_thread:
            yield from self._edited_by(fwd_hooks)

    def _edited_by(self, fwd_hooks: Sequence[tuple[str, Edit]]) -> Iterator["HookedNetwork"]:
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

    def _check_editable(self, name: str) -> None:
        point = self.hook_dict[self.hook_name(name)]
        if not point.editable:
            raise ValueError(f"{name} can be read but not edited: the network goes on without")
        if point.name in self.instead:
            raise ValueError(
                f"{name} can be read but not edited: the stream goes past {point.name}, which only "
                f"the next part reads; edit {self.instead[point.name]}, which is added to the "
                "stream"
            )

    @contextmanager
    def listening(self, names: Sequence[str]) -> Iterator[list[dict[str, Tensor]]]:
        """Reads hooks in every forward pass inside a `with` block.

        Args:
            names: Canonical hook names.

        Returns:
            What was read in each pass, by name, as far as the block has come.

        Raises:
            RuntimeError: If another thread is using the network.
        """
        with self.one_thread:
            before, listener = self.listeners, Listener(names, [])
            self.listeners = (*before, listener)
            try:
                yield listener.passes
            finally:
                self.listeners = before

    def __call__(self, *inputs: Any, **settings: Any) -> Any:
        """A forward pass; listeners are told of it.

        Raises:
            RuntimeError: If another thread is using the network.
        """
        with self.one_thread:
            return self._heard(*inputs, **settings)

    def _heard(self, *inputs: Any, **settings: Any) -> Any:
        if not self.listeners:
            return super().__call__(*inputs, **settings)
        asked = [name for listener in self.listeners for name in listener.names]
        read = dict.fromkeys([*settings.pop("read", ()), *asked])
        output = super().__call__(*inputs, read=list(read), **settings)
        for names, passes in self.listeners:
            passes.append({name: output.reads[name] for name in names})
        return output

    def specification(self) -> str:
        """What determines the computation beside the weights; here, the modules and their settings.

        Equal after saving and loading, and whatever the device and the arithmetic.
        """
        parts = [part for part in self.modules() if not isinstance(part, HookedNetwork)]
        return specify_modules(super().__repr__(), parts)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name this network.

        Equal exactly when the specification, the weights and the buffers are, to the bit.
        """
        return network_digest(self.specification(), self._tensors())

    @property
    def weights_digest(self) -> str:
        """As `digest`, of the weights and the buffers alone."""
        return network_digest("", self._tensors())

    def _tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Any] = dict(self.named_buffers(remove_duplicate=False))
        return tensors | self.state_dict()

    def __repr__(self) -> str:
        """One line: what it is, how large, and where."""
        parts = [
            self.name,
            self.extra_repr(),
            f"{sum(parameter.numel() for parameter in self.parameters()):,} parameters",
            f"{len(self.hook_dict)} hook points",
            f"{type_name(self.dtype)} on {self.device}",
        ]
        return f"{type(self).__name__}({', '.join(part for part in parts if part)})"


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
            "yes" if point.editable and point.name not in network.instead else "no",
            ", ".join(others.get(point.name, [])),
        )
        for point in network.hook_dict.values()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)

"""Reading many inputs at the speed of the forward pass: batches in, rows of activations out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldscope.activations.inputs import Inputs, Window
from worldscope.activations.pieces import read_pieces
from worldscope.activations.plan import Batch, Segment, Unit, plan_window
from worldscope.activations.settings import ReadSettings
from worldscope.activations.windows import (
    EncodedWindow,
    Position,
    check_names,
    encode_window,
    label_type,
)
from worldscope.networks.arithmetic import type_name
from worldscope.networks.hooked import HookedNetwork, Piece

_LONG = 8
"""Positions in a row, on average, from which on a copy of them together is quicker."""
_SUMMED = {torch.float16: torch.float32}
"""What the numbers of a type are summed in, if their sum could be beyond its range."""

Rows = Mapping[str, Float[Tensor, "rows ..."]]
"""Activations by canonical hook name; row i of each is of the same position."""


@dataclass(frozen=True)
class Cursor:
    """Where a reading is: the next unit."""

    window: int = 0
    unit: int = 0


@dataclass(frozen=True)
class Work:
    """A unit of the plan that is about to be read."""

    window: EncodedWindow
    unit: Unit
    rows: Position
    """Input and position of every row that it will give, in order."""
    after: Cursor
    """What comes next."""
    inputs_done: int
    """How many inputs the units of all windows up to this one hold, about."""

    @property
    def n_rows(self) -> int:
        """How many rows it will give."""
        return len(self.rows[0])

    @property
    def positions(self) -> int:
        """How many positions are read for it, padding left out."""
        return sum(len(segment) for batch in self.unit for segment in batch)

    def table(self) -> pa.Table:
        """What is known of every row."""
        return self.window.table(self.rows)


class Reader:
    """A network, what it reads, and which of its activations become rows."""

    def __init__(
        self,
        network: HookedNetwork,
        inputs: Inputs,
        hooks: str | Sequence[str],
        settings: ReadSettings,
    ):
        """Nothing is read yet.

        Raises:
            LookupError: If a hook is unknown.
            ValueError: If no hook is named, what is given is no network, or a state has the name
                of another column of the rows.
        """
        if not isinstance(network, HookedNetwork):
            raise ValueError(
                f"{network!r:.60} is no network; give what ws.load_network or ws.wrap returns"
            )
        if hooks is None:
            raise ValueError("no hook is named; give the names of those to record")
        self.network, self.inputs, self.settings = network, inputs, settings
        self.names = list(dict.fromkeys(network.hook_names(hooks)))
        if not self.names:
            raise ValueError("no hook is named; give at least one")
        check_names(inputs.states, self.names)
        self._types = {state.name: label_type(state) for state in inputs.states}

    def works(self, start: Cursor) -> Iterator[Work]:
        """The units from a cursor on, in the order of the plan."""
        size = self.settings.window
        for number in range(start.window, -(-len(self.inputs) // size)):
            window = self._encode(self.inputs.window(number * size, size))
            units = self._plan(window, number)
            for index in range(start.unit if number == start.window else 0, len(units)):
                last = index + 1 == len(units)
                after = Cursor(number + 1) if last else Cursor(number, index + 1)
                done = window.first + len(window.items) * (index + 1) // len(units)
                rows = self._rows(window, units[index])
                yield Work(window, units[index], rows, after, done)

    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of a row of each hook, from reading the shortest of the first few inputs."""
        window = self._first
        item = int(window.lengths.argmin())
        length = int(window.lengths[item])
        if self.network.context is not None:
            length = min(length, self.network.context)
        batch = (Segment(item, 0, 0, length),)
        piece = next(self._pieces(window, batch))
        return {name: tuple(piece.reads[name].shape[2:]) for name in self.names}

    def bf16_error(self) -> dict[str, float]:
        """How far bfloat16 arithmetic takes each hook from float32, on the first few inputs.

        Returns:
            ‖a − b‖ / ‖b‖ over all activations that are read, b in float32, by hook.
        """
        network, reads = self.network, []
        if next(network.parameters()).dtype != torch.float32:
            return {}  # what the weights were before they were rounded is not known
        window, arithmetic = self._first, network.dtype
        units = self._plan(window, 0)
        if not units:
            return {}
        try:
            for dtype in (torch.bfloat16, torch.float32):
                network.dtype = dtype
                reads.append([piece.reads for piece in self._pieces(window, units[0][0][:1])])
        finally:
            network.dtype = arithmetic
        return {
            name: _norm(lambda a, b, n=name: a[n].double() - b[n].double(), *reads)
            / _norm(lambda _, b, n=name: b[n].double(), *reads)
            for name in self.names
        }

    @torch.no_grad()
    def read_into(self, work: Work, out: Rows) -> None:
        """Reads a unit and writes its rows.

        Args:
            work: From `works`.
            out: A tensor of shape (rows, …) for each hook, of any floating type.

        Raises:
            FloatingPointError: If a row is not finite.
        """
        if self.settings.positions == "mean":
            self._read_means(work, out)
        else:
            filled = 0
            for batch in work.unit:
                filled += self._read_batch(work.window, batch, out, filled)
        for name in self.names:
            # A sum is quicker than to look at each, and finite only where all are.
            total = out[name].sum(dtype=_SUMMED.get(out[name].dtype))
            if not total.isfinite() and not out[name].isfinite().all():
                self._refuse(work, name, out[name])

    @cached_property
    def _first(self) -> EncodedWindow:
        """The first few inputs."""
        return self._encode(self.inputs.window(0, min(16, self.settings.window)))

    def _encode(self, rows: Window) -> EncodedWindow:
        return encode_window(
            self.network, self.inputs, rows, self.names, self.settings, self._types
        )

    def _plan(self, window: EncodedWindow, number: int) -> list[Unit]:
        units = plan_window(
            window.lengths,
            self.settings,
            context=self.network.context,
            pads=self.network.pads,
            shapes=[item.shape[1:] if self.network.timed else item.shape for item in window.items],
            window=number,
        )
        kept = [
            tuple(
                tuple(segment for segment in batch if _mask(window, segment).any())
                for batch in unit
            )
            for unit in units
        ]
        kept = [tuple(batch for batch in unit if batch) for unit in kept]
        return [unit for unit in kept if unit]

    def _rows(self, window: EncodedWindow, unit: Unit) -> Position:
        segments = [segment for batch in unit for segment in batch]
        if self.settings.positions == "mean":
            items = np.array(sorted({segment.item for segment in segments}))
            return items, np.full(len(items), -1)
        positions = [np.flatnonzero(_mask(window, s)) + s.first for s in segments]
        counts = [len(found) for found in positions]
        items = np.repeat([segment.item for segment in segments], counts)
        return items, np.concatenate(positions)

    def _pieces(self, window: EncodedWindow, batch: Batch) -> Iterator[Piece]:
        """The network's reads of a batch, piece by piece of time."""
        items = [
            window.items[s.item][s.start : s.end] if self.network.timed else window.items[s.item]
            for s in batch
        ]
        lengths = np.array([len(segment) for segment in batch])
        return read_pieces(self.network, items, lengths, self.names)

    def _read_batch(self, window: EncodedWindow, batch: Batch, out: Rows, filled: int) -> int:
        """Writes the rows of a batch from row `filled` on; how many there were."""
        mask = _batch_mask(window, batch)
        target = filled - 1 + mask.cumsum().reshape(mask.shape)
        for piece in self._pieces(window, batch):
            alive = len(next(iter(piece.reads.values())))
            here = np.s_[:alive, piece.start : piece.end]
            write = _writer(mask[here], target[here])
            for name in self.names:
                self._check_width(piece.reads[name], out[name], name, window.first + batch[0].item)
                write(piece.reads[name], out[name])
        return int(mask.sum())

    def _read_means(self, work: Work, out: Rows) -> None:
        items = torch.from_numpy(work.rows[0])
        sums = {n: torch.zeros(rows.shape, dtype=torch.float64) for n, rows in out.items()}
        counts = torch.zeros(len(items), dtype=torch.float64)
        for batch in work.unit:
            mask = torch.from_numpy(_batch_mask(work.window, batch))
            of_item = torch.tensor([segment.item for segment in batch])
            place = torch.searchsorted(items, of_item)
            counts.index_add_(0, place, mask.sum(1).double())
            for piece in self._pieces(work.window, batch):
                alive = len(next(iter(piece.reads.values())))
                here = mask[:alive, piece.start : piece.end]
                for name in self.names:
                    first = work.window.first + batch[0].item
                    self._check_width(piece.reads[name], out[name], name, first)
                    total = _total(piece.reads[name], here)
                    sums[name].index_add_(0, place[:alive], total.cpu().double())
        for name, total in sums.items():
            out[name].copy_(total / counts.view(-1, *[1] * (total.ndim - 1)))

    @staticmethod
    def _check_width(acts: Tensor, out: Tensor, name: str, first: int) -> None:
        if acts.shape[2:] != out.shape[1:]:
            raise ValueError(
                f"{name} gives rows of {tuple(acts.shape[2:])} for input {first}, and of "
                f"{tuple(out.shape[1:])} for others: record a hook whose width does not depend on "
                "the input"
            )

    def _refuse(self, work: Work, name: str, stored: Tensor) -> None:
        row = int((~stored.flatten(1).isfinite()).any(1).nonzero()[0])
        item, position = (int(numbers[row]) for numbers in work.rows)
        place = (
            "on average over" if self.settings.positions == "mean" else f"at position {position} of"
        )
        where = f"{name} {place} input {work.window.first + item}"
        why = "; or it is beyond 65,504, the largest float16: choose bfloat16 or float32"
        raise FloatingPointError(
            f"{where} is not finite in {type_name(stored.dtype)}: the weights have diverged or are "
            f"damaged{why if stored.dtype == torch.float16 else ''}"
        )


def _mask(window: EncodedWindow, segment: Segment) -> Bool[np.ndarray, " new"]:
    """Which of a segment's new positions become rows."""
    return window.wanted[segment.item][segment.first : segment.end]


def _batch_mask(window: EncodedWindow, batch: Batch) -> Bool[np.ndarray, "batch time"]:
    """Which positions of a padded batch become rows."""
    mask = np.zeros((len(batch), max(len(segment) for segment in batch)), dtype=bool)
    for row, segment in enumerate(batch):
        mask[row, segment.first - segment.start : len(segment)] = _mask(window, segment)
    return mask


def _writer(
    mask: Bool[np.ndarray, "batch time"], target: Int[np.ndarray, "batch time"]
) -> Callable[[Tensor, Tensor], None]:
    """What copies chosen positions to their rows: run by run, or one by one where runs are short.

    Args:
        mask: Which positions of a batch are chosen.
        target: Row of each.
    """
    row, edge = np.nonzero(np.diff(mask, axis=1, prepend=False, append=False))
    starts, ends = edge[::2], edge[1::2]
    runs = list(zip(row[::2], starts, ends, target[row[::2], starts], strict=True))
    places, rows = (torch.from_numpy(at) for at in (np.flatnonzero(mask), target[mask]))

    def write(acts: Float[Tensor, "batch time ..."], out: Float[Tensor, "rows ..."]) -> None:
        if acts.device.type == "cpu" and len(runs) * _LONG < len(rows):
            for index, start, end, first in runs:
                out[first : first + end - start] = acts[index, start:end]
        else:
            out[rows] = acts.flatten(0, 1).index_select(0, places.to(acts.device)).to(out)

    return write


def _total(
    acts: Float[Tensor, "batch time ..."], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch ..."]:
    """Sum over some positions, in at least float32; what the others hold does not matter."""
    if not mask.all():
        others = ~mask.view(*mask.shape, *[1] * (acts.ndim - 2))
        acts = acts.masked_fill(others.to(acts.device), 0)
    return acts.sum(1, dtype=torch.promote_types(acts.dtype, torch.float32))


def _norm(
    difference: Callable[[Rows, Rows], Tensor], first: Sequence[Rows], second: Sequence[Rows]
) -> float:
    """Euclidean norm over all pieces."""
    squares = (difference(a, b).square().sum() for a, b in zip(first, second, strict=True))
    return float(sum(squares)) ** 0.5

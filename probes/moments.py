"""Means and centred products of activations and targets: all that a least-squares fit needs.

Ridge regression, discriminants and concept erasure are fitted from these without a second look at
the rows. Rows come in one array or in batches, and what is kept does not grow with their number.

Source: Chan, Golub and LeVeque 1983 for joining the moments of two sets of rows.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Integer, Shaped
from torch import Tensor

_BLOCK = 2048
"""Rows that are multiplied at once: sums in float32 are no longer than this."""
_STRIPS = 4
"""Of the product of a block with itself, each multiplied as far as the diagonal."""

Acts = Float[Tensor, "_n d"] | Float[np.ndarray, "_n d"]
"""Activations, a row each; of any floating type."""
Targets = Shaped[Tensor, "_n q"] | Shaped[np.ndarray, "_n q"]
"""Numbers or booleans to be read from the activations, a column for each target."""


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of rows of activations x and of their targets y, in float64."""

    rows: int
    """Number of rows."""
    mean: Float64[Tensor, " d"]
    """Mean activation."""
    gram: Float64[Tensor, "d d"]
    """Σ (x - mean)(x - mean)' over the rows."""
    target_mean: Float64[Tensor, " q"]
    """Mean of each target."""
    cross: Float64[Tensor, "d q"]
    """Σ (x - mean)(y - target_mean)' over the rows."""
    target_squares: Float64[Tensor, " q"]
    """Σ (y - target_mean)² over the rows."""
    double: bool
    """Whether the products of activations were taken in float64, not in float32."""

    @property
    def scale(self) -> Float64[Tensor, " d"]:
        """Standard deviation of each unit, denominator n; 0 for a unit that does not move."""
        variance = self.gram.diagonal().clamp_min(0) / self.rows
        rounding = (torch.finfo(torch.float64).eps * self.rows * self.mean).square()
        return torch.where(variance > rounding, variance, 0).sqrt()

    def merged(self, other: "Moments") -> "Moments":
        """Moments of the rows of both, exactly."""
        rows = self.rows + other.rows
        share, weight = other.rows / rows, self.rows * other.rows / rows
        step = other.mean - self.mean
        target_step = other.target_mean - self.target_mean
        return Moments(
            rows,
            self.mean + share * step,
            (self.gram + other.gram).addr_(step, step, alpha=weight),
            self.target_mean + share * target_step,
            (self.cross + other.cross).addr_(step, target_step, alpha=weight),
            self.target_squares + other.target_squares + weight * target_step.square(),
            self.double and other.double,
        )

    def of_targets(self, columns: slice) -> "Moments":
        """The same rows with some of the targets."""
        return replace(
            self,
            target_mean=self.target_mean[columns],
            cross=self.cross[:, columns],
            target_squares=self.target_squares[columns],
        )

    def signed(self) -> "Moments":
        """The same rows with targets -1 and 1 in the place of 0 and 1."""
        return replace(
            self,
            target_mean=2 * self.target_mean - 1,
            cross=2 * self.cross,
            target_squares=4 * self.target_squares,
        )


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """Where the rows of each class lie, and how they scatter about it, in float64."""

    counts: Int64[Tensor, " classes"]
    """Rows of each class."""
    means: Float64[Tensor, "classes d"]
    """Mean activation of each class."""
    within: Float64[Tensor, "d d"]
    """Σ (x - mean of its class)(x - mean of its class)' over the rows."""


def measure_moments(acts: Acts, targets: Targets, *, double: bool = False) -> Moments:
    """Moments of rows that memory holds.

    Args:
        acts: Activations.
        targets: What is known of the same rows, all present.
        double: Take products in float64, which about doubles the time, where float32 loses too
            much: see `probes.ridge`. Activations that are float64 already are left so.

    Raises:
        ValueError: If a number is missing or infinite, or the rows do not fit together.
    """
    return stream_moments([(acts, targets)], double=double)


def stream_moments(batches: Iterable[tuple[Acts, Targets]], *, double: bool = False) -> Moments:
    """Moments of rows that come in batches, of any sizes, in one pass.

    Args:
        batches: Activations and targets of some rows, as in `measure_moments`.
        double: As in `measure_moments`.

    Raises:
        ValueError: As `measure_moments`, or if there is no row.
    """
    blocks = (
        _block_moments(acts, targets, start, double) for start, acts, targets in _blocks(batches)
    )
    first = next(blocks, None)
    if first is None:
        raise ValueError("There is no row to measure: give at least one.")
    return reduce(Moments.merged, blocks, first)


def class_targets(
    labels: Integer[Tensor, " n"] | Integer[np.ndarray, " n"], classes: int
) -> Float64[Tensor, "n q"]:
    """Labels as targets: one column of 0 and 1 for two classes, else a column for each class.

    Raises:
        ValueError: If there are fewer than two classes, or a label is none of them.
    """
    labels = torch.as_tensor(labels).long()
    if classes < 2:
        raise ValueError(f"There are {classes} classes: a label needs two at least.")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        raise ValueError(
            f"The label at row {row} is {int(labels[row])}: it must be from 0 to {classes - 1}."
        )
    if classes == 2:
        return labels.double()[:, None]
    return torch.nn.functional.one_hot(labels, classes).double()


def class_moments(moments: Moments) -> ClassMoments:
    """Moments of each class, from targets that `class_targets` made.

    Raises:
        ValueError: If the targets are no such classes, or a class has no row.
    """
    shares, cross = moments.target_mean, moments.cross
    _check_classes(moments)
    if len(shares) == 1:
        shares = torch.cat([1 - shares, shares])
        cross = torch.cat([-cross, cross], dim=1)
    counts = (shares * moments.rows).round()
    if not counts.all():
        raise ValueError(f"Class {int(counts.argmin())} has no row: leave it out.")
    offsets = cross / counts
    return ClassMoments(
        counts.long(), (moments.mean[:, None] + offsets).T, moments.gram - cross @ offsets.T
    )


def _check_classes(moments: Moments) -> None:
    """Of targets from 0 to 1, only 0 and 1 have squares that sum to what they do."""
    shares = moments.target_mean
    squares = moments.rows * shares * (1 - shares)
    binary = torch.allclose(moments.target_squares, squares, rtol=1e-9, atol=1e-6)
    if not binary or (len(shares) > 1 and abs(float(shares.sum()) - 1) > 1e-9):
        raise ValueError(
            f"The {len(shares)} targets are not classes: give one column of 0 and 1, or a column "
            "for each class with one 1 in every row."
        )


def _blocks(batches: Iterable[tuple[Acts, Targets]]) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(first row, activations, targets) of blocks of `_BLOCK` rows or a few more."""
    start, held = 0, 0
    pending: list[tuple[Tensor, Tensor]] = []
    for acts, targets in map(_tensors, batches):
        for pair in zip(acts.split(_BLOCK), targets.split(_BLOCK), strict=True):
            pending.append(pair)
            held += len(pair[0])
            if held >= _BLOCK:
                yield start, *_joined(pending)
                start, held, pending = start + held, 0, []
    if held:
        yield start, *_joined(pending)


def _tensors(batch: tuple[Acts, Targets]) -> tuple[Tensor, Tensor]:
    acts, targets = (torch.as_tensor(part) for part in batch)
    if len(acts) != len(targets):
        raise ValueError(
            f"There are {len(acts)} rows of activations and {len(targets)} of targets: "
            "give one of each for a row."
        )
    return acts, targets


def _joined(pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    if len(pairs) == 1:
        return pairs[0]
    widths = {(acts.shape[1], targets.shape[1]) for acts, targets in pairs}
    if len(widths) > 1:
        raise ValueError(f"Batches have (units, targets) {sorted(widths)}: all must have the same.")
    acts, targets = zip(*pairs, strict=True)
    return torch.cat(acts), torch.cat(targets)


def _block_moments(acts: Tensor, targets: Tensor, start: int, double: bool) -> Moments:
    """Moments of one block, whose rows are brought near to 0 before they are multiplied."""
    wide = double or acts.dtype == torch.float64
    centre = acts.mean(0, dtype=torch.promote_types(acts.dtype, torch.float32))
    rows = acts - centre.to(torch.float64 if wide else torch.float32)
    rest = rows.sum(0, dtype=torch.float64)
    aims = targets.double()
    target_mean = aims.mean(0)
    aims = aims - target_mean
    moments = Moments(
        len(rows),
        centre.double() + rest / len(rows),
        _square(rows).double().addr_(rest, rest, alpha=-1 / len(rows)),
        target_mean,
        (rows.T @ aims.to(rows.dtype)).double(),
        aims.square().sum(0),
        wide,
    )
    _check_finite(moments, acts, targets, start)
    return moments


def _square(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    """rows' rows, of which what lies above the diagonal is a copy of what lies below."""
    width = rows.shape[1]
    product = rows.new_zeros(width, width)
    edges = np.linspace(0, width, _STRIPS + 1).astype(int).tolist()
    for start, stop in itertools.pairwise(edges):
        product[start:stop, :stop] = rows[:, start:stop].T @ rows[:, :stop]
    return product.tril() + product.tril(-1).T


def _check_finite(moments: Moments, acts: Tensor, targets: Tensor, start: int) -> None:
    """A number that is missing or infinite anywhere in a column shows in that column's squares."""
    for what, column, squares, block in (
        ("activation", "unit", moments.gram.diagonal(), acts),
        ("target", "column", moments.target_squares, targets),
    ):
        if squares.isfinite().all():
            continue
        where = (~block.isfinite()).nonzero()
        if not len(where):
            raise ValueError(
                f"The {what}s of {column} {int(squares.argmax())} are too large to square."
            )
        row, place = where[0].tolist()
        raise ValueError(
            f"The {what} of {column} {place} at row {start + row} is {block[row, place].item()}: "
            f"every {what} must be finite."
        )

"""The data that a network reads: inputs, their groups and their ground truth, window by window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xxhash

from worldscope.worlds.world import State, World

if TYPE_CHECKING:
    from datasets import Dataset

Data = World | Sequence[Any] | np.ndarray | torch.Tensor


@dataclass(frozen=True)
class Window:
    """Some consecutive rows of the data."""

    first: int
    """Index of the first."""
    values: Sequence[Any]
    """Inputs."""
    groups: list[str]
    """Unit of splitting of each."""
    columns: dict[str, list]
    """Ground truth, and the column that chooses positions, by name."""


@dataclass(frozen=True)
class Inputs:
    """Data of any kind, as a world."""

    name: str
    source: Data
    states: tuple[State, ...] = ()
    extra: tuple[str, ...] = ()
    """Further columns that are needed."""

    def __len__(self) -> int:
        return len(self.source)

    def window(self, first: int, size: int) -> Window:
        """At most `size` rows from row `first` on."""
        end = min(first + size, len(self))
        if not isinstance(self.source, World):
            numbers = [str(row) for row in range(first, end)]
            return Window(first, list(self.source[first:end]), numbers, {})
        columns = self._dataset(self.source)[first:end]
        names = (*(state.name for state in self.states), *self.extra)
        return Window(
            first,
            columns[self.source.input_column],
            [str(group) for group in columns[self.source.group_column]],
            {name: columns[name] for name in names},
        )

    def windows(self, size: int) -> Iterator[Window]:
        """All rows, window by window."""
        for first in range(0, len(self), size):
            yield self.window(first, size)

    def digest(self) -> str:
        """Sixteen hexadecimal digits: equal exactly when all inputs, groups and labels are."""
        total = xxhash.xxh3_64()
        for window in self.windows(1024):
            for value in window.values:
                _add(total, value)
            total.update(repr(window.groups).encode())
            total.update(repr(window.columns).encode())
        return total.hexdigest()

    @staticmethod
    def _dataset(world: World) -> "Dataset":
        return world.dataset


def as_inputs(data: Data, *, column: str | None = None) -> Inputs:
    """Data as inputs.

    Args:
        data: A world; or inputs alone, such as a list of texts or of arrays (time, …).
        column: A column besides the ground truth that is needed.

    Raises:
        ValueError: If there is no input, or the data is one string.
        LookupError: If there is no such column.
    """
    if isinstance(data, str):
        raise ValueError(f"the data is one string, {data!r:.60}; give a list of texts or a world")
    if len(data) == 0:
        raise ValueError("the data is empty; give at least one input")
    if isinstance(data, World):
        if column is not None:
            data.values(column)
        return Inputs(data.name, data, data.states, () if column is None else (column,))
    if column is not None:
        raise LookupError(f"a list has no column {column!r}; give a world that has it")
    return Inputs("list", data)


def _add(total: "xxhash.xxh3_64", value: Any) -> None:
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "little") + data)
        return
    array = np.ascontiguousarray(value)
    total.update(f"{array.dtype}{array.shape}".encode())
    total.update(array.tobytes())

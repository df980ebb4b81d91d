"""The data that a network reads: inputs, their groups and their ground truth, window by window."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import xxhash

from worldscope.activations.labels import naming_row
from worldscope.worlds.world import State, World

Data = World | Sequence[Any] | np.ndarray | torch.Tensor
_JSON = json.JSONEncoder(sort_keys=True, default=repr)
"""Numbers to their last digit, and null apart from all of them."""


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


class Digests(NamedTuple):
    """Sixteen hexadecimal digits each."""

    data: str
    """Equal exactly when all inputs, groups and labels are."""
    inputs: str
    """Equal exactly when the inputs are, whatever is known of them."""


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
        """At most `size` rows from row `first` on.

        Raises:
            ValueError: If an input is neither a text nor an array, or has no group; the row is
                named.
        """
        end = min(first + size, len(self))
        if not isinstance(self.source, World):
            numbers = [str(row) for row in range(first, end)]
            return Window(first, _checked(first, self.source[first:end]), numbers, {})
        columns = self.source.dataset[first:end]
        names = (*(state.name for state in self.states), *self.extra)
        return Window(
            first,
            _checked(first, columns[self.source.input_column]),
            _groups(first, columns[self.source.group_column]),
            {name: columns[name] for name in names},
        )

    def windows(self, size: int) -> Iterator[Window]:
        """All rows, window by window."""
        for first in range(0, len(self), size):
            yield self.window(first, size)

    def digests(self) -> Digests:
        """What tells this data from other data.

        Raises:
            ValueError: If an input is no array of numbers; the row is named.
        """
        everything, inputs = xxhash.xxh3_64(), xxhash.xxh3_64()
        for window in self.windows(1024):
            for place, value in enumerate(window.values):
                content = naming_row(window.first + place, lambda v=value: _content(v))
                known = {name: values[place] for name, values in window.columns.items()}
                inputs.update(content)
                everything.update(content)
                everything.update(_JSON.encode([window.groups[place], known]).encode())
        return Digests(everything.hexdigest(), inputs.hexdigest())


def as_inputs(data: Data, *, column: str | None = None) -> Inputs:
    """Data as inputs.

    Args:
        data: A world; or inputs alone, such as a list of texts or of arrays (time, …).
        column: A column besides the ground truth that is needed.

    Raises:
        ValueError: If there is no input, or the data is neither a world nor a list.
        LookupError: If there is no such column.
    """
    _check_kind(data)
    if len(data) == 0:
        raise ValueError("the data is empty; give at least one input")
    if isinstance(data, World):
        if column is not None:
            data.values(column)
        plain = replace(data, dataset=data.dataset.with_format(None))
        return Inputs(data.name, plain, data.states, () if column is None else (column,))
    if column is not None:
        raise LookupError(f"a list has no column {column!r}; give a world that has it")
    return Inputs("list", data)


def _check_kind(data: Any) -> None:
    """Raises:
    ValueError: If it is neither a world nor a list.
    """
    if isinstance(data, str):
        raise ValueError(f"the data is one string, {data!r:.60}; give a list of texts or a world")
    if isinstance(data, Mapping) or hasattr(data, "column_names") or hasattr(data, "columns"):
        raise ValueError(
            f"the data is a {type(data).__name__}, which does not say what its columns are; give "
            "ws.World(name, dataset, input_column, group_column), or what ws.load_world reads "
            "from a file"
        )
    if not isinstance(data, World) and not hasattr(data, "__getitem__"):
        raise ValueError(
            f"the data is {data!r:.60}; give a world, or a list of texts or of arrays (time, …)"
        )


def _checked(first: int, values: Any) -> list[Any]:
    """Inputs of rows from `first` on, each at least of one axis."""
    checked = list(values)
    for row, value in enumerate(checked, start=first):
        if isinstance(value, str):
            continue
        no_list = not hasattr(value, "__len__") or isinstance(value, Mapping | bytes)
        if no_list or getattr(value, "ndim", 1) == 0:
            raise ValueError(
                f"row {row} of the data is {value!r:.60}; each input must be a text or an array "
                "(time, …)"
            )
    return checked


def _groups(first: int, groups: Sequence[Any]) -> list[str]:
    for row, group in enumerate(groups, start=first):
        if group is None:
            raise ValueError(
                f"row {row} of the data has no group; name what must not be parted by a split"
            )
    return [str(group) for group in groups]


def _content(value: Any) -> bytes:
    """An input as bytes that no other has."""
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return len(data).to_bytes(8, "little") + data
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype == torch.bfloat16:  # which numpy lacks; no array of a user's has fields
            value = value.view(torch.int16).numpy().view([("bfloat16", np.int16)])
    array = np.ascontiguousarray(value)
    if array.dtype.hasobject:
        raise ValueError(f"the input {value!r:.60} is no array of numbers")
    return f"{array.dtype}{array.shape}".encode() + array.tobytes()

"""A world: inputs together with the ground truth that they come from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["binary", "categorical", "scalar", "circular", "vector"]
Level = Literal["sequence", "position", "span"]


@dataclass(frozen=True)
class State:
    """One ground-truth column of a world."""

    name: str
    """Column that holds it; null where it is not known."""
    kind: Kind
    """What its values are."""
    level: Level = "sequence"
    """What carries one value: the whole input, each position, or a span of characters.

    Where spans overlap, the shortest decides; of equally long ones, that which begins last.
    """
    unit: str | None = None
    """Unit of measurement, if it has one."""
    classes: tuple[str, ...] = ()
    """Names of the classes 0, 1, …"""


@dataclass(frozen=True)
class World:
    """A data set that says which column is the input, the group and the ground truth."""

    name: str
    """Short name for tables."""
    dataset: "Dataset"
    """The rows."""
    input_column: str
    """Column that a network receives."""
    group_column: str
    """Column of the unit of splitting and resampling: film, document, game."""
    states: tuple[State, ...] = ()
    """The ground-truth columns."""

    def __post_init__(self) -> None:
        for column in (self.input_column, self.group_column, *(s.name for s in self.states)):
            self._check_column(column)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def inputs(self) -> list:
        """The input of every row."""
        return self.values(self.input_column)

    @property
    def groups(self) -> list:
        """The group of every row."""
        return self.values(self.group_column)

    def values(self, column: str) -> list:
        """A column, such as a state's; null where it is not known.

        Raises:
            LookupError: If there is no such column.
        """
        self._check_column(column)
        return self.dataset[column][:]

    def select(self, rows: Callable[[dict], bool], *, name: str | None = None) -> "World":
        """The rows for which `rows`, called with a row as a dict, is true.

        Args:
            rows: Which rows to keep.
            name: Name of what is left; if None it stays.
        """
        kept = [index for index, row in enumerate(self._rows()) if rows(row)]
        return replace(self, dataset=self.dataset.select(kept), name=name or self.name)

    def labelled(self, state: str) -> "World":
        """The rows whose value of a state is known.

        Raises:
            LookupError: If there is no such column.
        """
        kept = [index for index, value in enumerate(self.values(state)) if value is not None]
        return replace(self, dataset=self.dataset.select(kept))

    def _rows(self) -> Iterator[dict]:
        batches = cast("Iterator[dict[str, list]]", self.dataset.iter(batch_size=1000))
        for columns in batches:
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(columns, values, strict=True))

    def _check_column(self, column: str) -> None:
        if column not in self.dataset.column_names:
            raise LookupError(
                f"world {self.name!r} has no column {column!r}; "
                f"its columns are {', '.join(self.dataset.column_names)}"
            )

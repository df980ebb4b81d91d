"""A world: inputs together with the ground truth that they come from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

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
    """What carries one value: the whole input, each position, or a span of characters."""
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
        wanted = [self.input_column, self.group_column, *(state.name for state in self.states)]
        missing = [column for column in wanted if column not in self.dataset.column_names]
        if missing:
            raise LookupError(
                f"world {self.name!r} has no column {missing[0]!r}; "
                f"its columns are {', '.join(self.dataset.column_names)}"
            )

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def inputs(self) -> list:
        """The input of every row."""
        return list(self.dataset[self.input_column])

    @property
    def groups(self) -> list:
        """The group of every row."""
        return list(self.dataset[self.group_column])

    def values(self, state: str) -> list:
        """A ground-truth column, null where it is not known."""
        return list(self.dataset[state])

    def select(self, rows: Callable[[dict], bool], *, name: str | None = None) -> "World":
        """The rows for which `rows` is true."""
        kept = self.dataset.filter(rows, load_from_cache_file=False, keep_in_memory=True)
        return replace(self, dataset=kept, name=name or self.name)

    def labelled(self, state: str) -> "World":
        """The rows whose value of a state is known."""
        return self.select(lambda row: row[state] is not None)

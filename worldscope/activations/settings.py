"""What is recorded of each input, and how it is read."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

StoreDtype = Literal["float32", "bfloat16", "float16"]
_POSITIONS = re.compile(r"all|last|mean|every:[1-9]\d*|column:.+")


@dataclass(frozen=True)
class ReadSettings:
    """Which rows are made of each input, and in what batches it is read.

    Together with the lengths of the inputs these decide every batch and the order of every row.

    Attributes:
        positions: `all`, `last`, `mean`, `every:K` (positions 0, K, 2K, …) or `column:NAME`: a
            column of the data that lists positions of symbols as whole numbers from 0 on, spans of
            characters (start, end), or true and false for each position; 0 and 1 are positions.
            `last` is the last position that is read; where the codec ends a text with a symbol of
            its own, that is it, and with `specials` at `drop` it is the last symbol of the text
            itself. With `mean`, labels of positions and spans are refused, as a row is of many.
        specials: Whether symbols that the codec adds, such as a beginning-of-text, have rows.
        too_long: What becomes of an input that is longer than the network's context: read in
            overlapping segments, each position recorded once, or only its beginning read. Only the
            first segment begins with what the codec puts before a text. What is cut has no rows:
            labels there are left out, and a column that chooses a position there is refused.
        overlap: Share of a segment that the one before has read: context for what is new in it.
        batch_positions: Positions that are read together, padding included.
        window: Inputs among which those of like length are read together; bounds the memory.
        seed: Of the order of the batches within a window.
    """

    positions: str = "all"
    specials: Literal["keep", "drop"] = "keep"
    too_long: Literal["split", "cut"] = "split"
    overlap: float = 0.5
    batch_positions: int = 4096
    window: int = 8192
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.positions, str) or not _POSITIONS.fullmatch(self.positions):
            raise ValueError(
                f"positions is {self.positions!r}; it must be all, last, mean, every:K with K of "
                "at least 1, or column:NAME, a column of the data that lists those of each input"
            )
        for name, choices in (("specials", ("keep", "drop")), ("too_long", ("split", "cut"))):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be {' or '.join(choices)}"
                )
        if not isinstance(self.overlap, int | float) or not 0 <= self.overlap < 1:
            raise ValueError(f"overlap is {self.overlap!r}; it must be at least 0 and under 1")
        for name in ("batch_positions", "window", "seed"):
            check_whole(name, getattr(self, name))
        for name in ("batch_positions", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be 0 or more")

    @property
    def column(self) -> str | None:
        """The column that chooses positions, if one does."""
        kind, _, name = self.positions.partition(":")
        return name if kind == "column" else None

    @property
    def every(self) -> int:
        """Distance between recorded positions."""
        kind, _, step = self.positions.partition(":")
        return int(step) if kind == "every" else 1


def read_settings(given: Mapping[str, Any]) -> ReadSettings:
    """Settings by name.

    Raises:
        TypeError: If there is no such setting; the nearest one is named.
        ValueError: If one is out of its range.
    """
    names = [field.name for field in fields(ReadSettings)]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise TypeError(
                f"there is no setting {name!r}: {meant}The settings are {', '.join(names)}"
            )
    return ReadSettings(**given)


def check_whole(name: str, value: Any) -> None:
    """Raises:
    ValueError: If a setting is no whole number.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ValueError(f"{name} is {value!r}; it must be a whole number")


def torch_dtype(given: "str | torch.dtype") -> "torch.dtype":
    """The type of a store's numbers, by its name or as it is.

    Raises:
        ValueError: If a store cannot hold them.
    """
    name = str(given).removeprefix("torch.")
    if name not in ("float32", "bfloat16", "float16"):
        raise ValueError(f"dtype is {given!r}; it must be float32, bfloat16 or float16")
    import torch

    return getattr(torch, name)

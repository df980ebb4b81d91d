"""The tidy table: one row for each number that a study reports."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import pandas as pd

_COLUMN_TYPES = {str: "string", float: "float64", int | None: "Int64", float | None: "float64"}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number, with everything that is needed to say what it is. Text is blank where it does
    not apply, a number None."""

    question: str
    """What the number answers: "is sentiment decodable?"."""
    network: str = ""
    """Name of the network that was measured, or of the baseline in its place."""
    data: str = ""
    """Name of the world or data set."""
    split: str = ""
    """Which part was scored: train, dev or test."""
    hook: str = ""
    """Where the activations were read, by its canonical name."""
    position: str = ""
    """Which positions were read: "final", "all", "mean", ..."""
    method: str
    """What was fitted or done: "best unit", "L1 probe", "clamp +3 sd"."""
    metric: str
    """What `value` is, with its unit where it has one: "accuracy", "bits per byte"."""
    value: float
    """The number itself, on the whole part."""
    low: float | None = None
    """Lower end of the 95 % interval."""
    high: float | None = None
    """Upper end of the 95 % interval."""
    n: int | None = None
    """Rows that were scored."""
    groups: int | None = None
    """Groups that those rows come from: what the interval resamples."""
    seed: int | None = None
    """Seed of what was fitted or trained."""
    note: str = ""
    """Whatever a reader must know beside the number."""

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(
                f"The interval of {self.metric!r} runs from {self.low} down to {self.high}: "
                "give the lower end as low and the upper end as high."
            )


def measurements_table(measurements: Iterable[Measurement]) -> pd.DataFrame:
    """One row for each measurement, in order, one column for each field.

    Columns keep their types however few rows there are: text, float64 (None is NaN), Int64.
    """
    rows = [asdict(measurement) for measurement in measurements]
    return pd.DataFrame(
        {
            field.name: pd.array(
                [_nan_for_none(row[field.name], field.type) for row in rows],
                dtype=_COLUMN_TYPES[field.type],
            )
            for field in fields(Measurement)
        }
    )


def _nan_for_none(value: object, kind: object) -> object:
    return math.nan if value is None and kind == float | None else value

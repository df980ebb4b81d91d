"""What the pages show of a run's tables."""

from dataclasses import dataclass

import pandas as pd

_SHOWN = ["rank", "unit", "auroc", "accuracy", "sign", "threshold"]
_FIRST = ["question", "data", "split", "hook", "position", "method", "metric"]
_NUMBERS = ["value", "low", "high", "n"]
_BLANK = {"", "None", "nan", "<NA>"}


@dataclass(frozen=True)
class Place:
    """Where a run ranked units: on which data, at which hook, over which positions."""

    data: str
    hook: str
    position: str

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table that belong here."""
        here = (
            (table["data"] == self.data)
            & (table["hook"] == self.hook)
            & (table["position"] == self.position)
        )
        return table.loc[here]


@dataclass(frozen=True)
class RankedUnit:
    """A unit with its scores on the part that it was ranked on."""

    rank: int
    """From 1, the best."""
    unit: int
    auroc: float
    accuracy: float
    threshold: float
    sign: int
    """+1 if larger values mean the positive class."""


def ranked_units(ranking: pd.DataFrame, place: Place) -> pd.DataFrame:
    """The units ranked at a place, best first: rank, unit, auroc, accuracy, sign, threshold."""
    rows = place.of(ranking).reset_index(drop=True)
    return rows.assign(rank=rows.index + 1).loc[:, _SHOWN]


def ranked_on(ranking: pd.DataFrame, place: Place) -> str:
    """The part that units were ranked on, and its n where the table has a column for it."""
    if "n" not in ranking:
        return "train"
    return f"train, n = {place.of(ranking)['n'].iat[0]}"


def ranked_unit(units: pd.DataFrame, unit: int) -> RankedUnit:
    """One of the ranked units."""
    (row,) = units.loc[units["unit"] == unit].to_dict("records")
    return RankedUnit(**{str(name): value for name, value in row.items()})


def unit_on_texts(
    unit_values: pd.DataFrame, texts: pd.DataFrame, place: Place, unit: int
) -> pd.DataFrame:
    """The value of a unit beside each text that it was stored for; empty if it was not."""
    stored = place.of(unit_values)
    stored = stored.loc[stored["unit"] == unit, ["row", "value"]]
    return stored.merge(texts, on="row", how="inner")


def told_once(measurements: pd.DataFrame) -> tuple[dict[str, str], pd.DataFrame]:
    """What all rows have in common, blanks left out, and the columns in which they differ.

    The numbers and their n stay in the table whatever they are.
    """
    rest = [name for name in measurements if name not in (*_FIRST, *_NUMBERS)]
    order = [name for name in (*_FIRST, *_NUMBERS, *rest) if name in measurements]
    alike = [
        name for name in order if name not in _NUMBERS and len(measurements[name].unique()) == 1
    ]
    common = {name: format(measurements[name].iat[0]) for name in alike}
    told = {name: value for name, value in common.items() if value not in _BLANK}
    return told, measurements.loc[:, [name for name in order if name not in alike]]


def extremes(values: pd.DataFrame, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows with the highest values, highest first, and with the lowest, lowest first.

    No row is in both.
    """
    ordered = values.sort_values("value", ascending=False, kind="stable", ignore_index=True)
    count = min(count, len(ordered) // 2)
    return ordered.head(count), ordered.tail(count).iloc[::-1]


def matching(table: pd.DataFrame, words: str) -> pd.DataFrame:
    """The rows that hold every word somewhere, whatever the case."""
    wanted = words.lower().split()
    lines = [" ".join(map(str, row)).lower() for row in table.itertuples(index=False)]
    return table.loc[[all(word in line for word in wanted) for line in lines]]

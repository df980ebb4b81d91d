"""Tables as HTML, with numbers as one reads them."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_EMPTY = "–"
_INTERVAL = ("value", "low", "high")


class _Column(NamedTuple):
    name: str
    cells: list[str]
    numeric: bool


def render_table(table: pd.DataFrame) -> str:
    """The table as HTML, without its index.

    Columns `value`, `low` and `high` become one, 0.81 [0.79, 0.83], in the place of `value`.
    """
    columns = list(_columns(table))
    head = "".join(_cell("th", column.name, column.numeric) for column in columns)
    rows = zip(*(column.cells for column in columns), strict=True)
    body = "".join(f"<tr>{_row(row, columns)}</tr>" for row in rows)
    return (
        '<div class="wide"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def format_interval(value: float, low: float, high: float, *, decimals: int) -> str:
    """A value and its interval, or the value alone where no interval was measured."""
    if math.isnan(value):
        return _EMPTY
    alone = f"{value:.{decimals}f}"
    if math.isnan(low) or math.isnan(high):
        return alone
    return f"{alone} [{low:.{decimals}f}, {high:.{decimals}f}]"


def format_numbers(values: Iterable[float]) -> list[str]:
    """Numbers of one kind, all with the decimals that give the largest three digits or more.

    Whole numbers stay whole; where the smallest would vanish, each has three digits of its own; NaN
    is a dash.
    """
    numbers = [float(value) for value in values]
    sizes = [abs(number) for number in numbers if math.isfinite(number) and number]
    if all(size.is_integer() for size in sizes):
        form = _integer
    else:
        decimals = _decimals_for(max(sizes))
        steady = decimals <= 6 and min(sizes) >= 10.0 ** (1 - decimals)
        form = f"{{:,.{decimals}f}}".format if steady else "{:.3g}".format
    return [_EMPTY if math.isnan(number) else form(number) for number in numbers]


def format_fact(value: Any) -> str:
    """A single value as text."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return _EMPTY
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float | np.number):
        return format_numbers([float(value)])[0]
    return str(value)


def _columns(table: pd.DataFrame) -> Iterable[_Column]:
    with_intervals = set(_INTERVAL) <= set(table.columns)
    for name, column in table.items():
        label = str(name).replace("_", " ")
        if with_intervals and name == "value":
            yield _Column(f"{label} [interval]", _intervals(table), True)
        elif with_intervals and name in _INTERVAL:
            continue
        elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            numbers = column.to_numpy(dtype=float, na_value=math.nan)
            yield _Column(label, format_numbers(numbers), True)
        else:
            yield _Column(label, [format_fact(value) for value in column], False)


def _intervals(table: pd.DataFrame) -> list[str]:
    value, low, high = (table[name].to_numpy(float, na_value=math.nan) for name in _INTERVAL)
    decimals = _interval_decimals(high - low)
    return [
        format_interval(*three, decimals=decimals) for three in zip(value, low, high, strict=True)
    ]


def _interval_decimals(widths: Sequence[float] | np.ndarray) -> int:
    """Enough decimals to tell a third of the median width."""
    measured = [width for width in widths if width > 0]
    if not measured:
        return 3
    return min(max(math.ceil(-math.log10(float(np.median(measured)) / 3)), 0), 6)


def _decimals_for(size: float) -> int:
    """Four digits from 1 up, three below."""
    exponent = math.floor(math.log10(size))
    return max(3 - exponent, 0) if exponent >= 0 else 2 - exponent


def _integer(number: float) -> str:
    if not math.isfinite(number):
        return str(number)
    return f"{int(number):,}" if abs(number) >= 10_000 else str(int(number))


def _row(cells: Iterable[str], columns: Iterable[_Column]) -> str:
    return "".join(
        _cell("td", cell, column.numeric) for cell, column in zip(cells, columns, strict=True)
    )


def _cell(tag: str, text: str, numeric: bool) -> str:
    kind = ' class="number"' if numeric else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"

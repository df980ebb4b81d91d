"""What a figure asks of the data that it is given."""

from collections.abc import Collection, Mapping, Sized

import pandas as pd


def require_columns(table: pd.DataFrame, columns: Collection[str], *, figure: str) -> None:
    """Check that a table can be drawn.

    Raises:
        ValueError: If it has no rows, or lacks a column.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"{figure} needs the columns {', '.join(columns)}; the table lacks "
            f"{', '.join(missing)}."
        )
    if table.empty:
        raise ValueError(f"{figure} was given a table without rows.")


def require_lengths(x: Sized, series: Mapping[str, Sized], *, figure: str) -> None:
    """Check that every series has one value for each x.

    Raises:
        ValueError: If there is nothing to draw, or if a series is longer or shorter than x.
    """
    if not series or not len(x):
        raise ValueError(f"{figure} was given nothing to draw.")
    for name, values in series.items():
        if len(values) != len(x):
            raise ValueError(
                f"{figure} needs {len(x)} values of {name!r}, one for each point on the x axis; "
                f"it has {len(values)}."
            )

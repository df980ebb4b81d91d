"""Figures of what steering does and what it costs."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from worldscope.figures.given import require_columns
from worldscope.figures.look import BASELINE, blank, colour, in_order, is_baseline, plain, symbol


def steering_curve(table: pd.DataFrame, *, title: str | None = None) -> go.Figure:
    """The judged share of steered generations against the strength, one trace for each judge.

    Args:
        table: A row for each steered thing, judge and strength, with the columns steered (a
            feature's name; drawn as a placebo if that holds "placebo"), judge, strength (in sd of
            the feature), share (0 to 1) and its interval low and high (null if not measured).

    Raises:
        ValueError: If there are no rows, or a column is missing.
    """
    columns = ("steered", "judge", "strength", "share", "low", "high")
    require_columns(table, columns, figure="steering_curve")
    figure = blank(x_title="strength (sd)", y_title="judged share (of generations)", title=title)
    judges = in_order(table["judge"])
    for steered in in_order(table["steered"]):
        for index, judge in enumerate(judges):
            of_both = (table["steered"].astype(str) == steered) & (
                table["judge"].astype(str) == judge
            )
            _add_effect(figure, table.loc[of_both], "share", f"{steered}, {judge}", steered, index)
    return figure.update_yaxes(range=[-0.02, 1.02])


def cost_curve(table: pd.DataFrame, *, budget: float = 0.15, title: str | None = None) -> go.Figure:
    """What steering costs the text, against the strength, with the budget as a line on both sides.

    Text that is cheaper than unsteered text by more than the budget repeats itself.

    Args:
        table: A row for each steered thing and strength, with the columns steered (drawn as a
            placebo if that holds "placebo"), strength (in sd of the feature), cost (in bits per
            byte) and its interval low and high (null if not measured).
        budget: The largest acceptable cost, in bits per byte, above 0 or below.

    Raises:
        ValueError: If there are no rows, or a column is missing.
    """
    columns = ("steered", "strength", "cost", "low", "high")
    require_columns(table, columns, figure="cost_curve")
    figure = blank(x_title="strength (sd)", y_title="cost (bits per byte)", title=title)
    for index, steered in enumerate(in_order(table["steered"])):
        rows = table.loc[table["steered"].astype(str) == steered]
        _add_effect(figure, rows, "cost", steered, steered, index)
    for level in (budget, -budget):
        figure.add_hline(
            y=level,
            line={"color": BASELINE, "dash": "dash", "width": 1.5},
            name=f"budget: ±{budget:g}",
            showlegend=level == budget,
        )
    return figure


def _add_effect(
    figure: go.Figure, rows: pd.DataFrame, column: str, name: str, steered: str, index: int
) -> None:
    if rows.empty:
        return
    rows = rows.sort_values("strength", kind="stable")
    value = rows[column].to_numpy(dtype=float)
    low, high = rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float)
    placebo = is_baseline(steered)
    figure.add_scatter(
        x=rows["strength"].to_numpy(),
        y=value,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": np.nan_to_num(high - value),
            "arrayminus": np.nan_to_num(value - low),
            "width": 3,
            "thickness": 1.5,
        },
        mode="lines+markers",
        name=plain(name),
        line={"color": colour(index), "width": 2, "dash": "dot" if placebo else "solid"},
        marker={"symbol": f"{symbol(index)}{'-open' if placebo else ''}", "size": 9},
        customdata=np.stack([low, high], axis=1),
        hovertemplate="%{x:+g} sd: %{y:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]",
    )

"""Figures that put results side by side: methods on data sets, networks and compressors."""

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from worldscope.figures.given import require_columns
from worldscope.figures.look import (
    BASELINE,
    POSITIVE,
    blank,
    colour,
    dash,
    in_order,
    is_baseline,
    plain,
    symbol,
)

_UNITS = {"accuracy": "share correct", "auroc": "0.5 is chance"}


def accuracy_bars(
    measurements: pd.DataFrame,
    *,
    unit: str | None = None,
    baselines: Collection[str] | None = None,
    published: Mapping[str, float] | None = None,
    title: str | None = None,
) -> go.Figure:
    """One score of several methods on several data sets: a dot and its interval for each.

    Rows of one method and data set that differ in their seed are drawn as points of their own.

    Args:
        measurements: Rows of one metric with the columns method, data, metric, value, low and high;
            an interval that was not measured is null.
        unit: The unit of the metric, if its name does not say it; known for accuracy and AUROC.
        baselines: The methods drawn hollow and below the others; if not given, those whose name
            holds "baseline" or "placebo".
        published: Names and values of published results, drawn as lines.

    Raises:
        ValueError: If there are no rows, a column is missing, or the metrics are several.
    """
    columns = ("method", "data", "metric", "value", "low", "high")
    require_columns(measurements, columns, figure="accuracy_bars")
    metrics = in_order(measurements["metric"])
    if len(metrics) > 1:
        raise ValueError(f"accuracy_bars draws one metric; the table has {', '.join(metrics)}.")
    methods = in_order(measurements["method"])
    low = {m for m in methods if (is_baseline(m) if baselines is None else m in baselines)}
    ordered = [m for m in methods if m not in low] + [m for m in methods if m in low]
    figure = blank(x_title=_with_unit(metrics[0], unit), y_title="method", title=title)
    data = in_order(measurements["data"])
    for index, name in enumerate(data):
        rows = measurements.loc[measurements["data"].astype(str) == name]
        _add_dots(figure, rows, name, index, low)
    for index, (name, value) in enumerate((published or {}).items()):
        _add_published(figure, name, value, index)
    figure.update_xaxes(range=_range(measurements, published or {}))
    figure.update_yaxes(
        type="category",
        categoryorder="array",
        categoryarray=[plain(method) for method in ordered],
        autorange="reversed",
    )
    lines = len(ordered) * max(1.0, 0.6 * len(data)) + len(data) + len(published or {})
    return figure.update_layout(scattermode="group", height=int(150 + 28 * lines))


def bits_per_byte_bars(
    networks: Mapping[str, float], compressors: Mapping[str, float], *, title: str | None = None
) -> go.Figure:
    """How well networks predict text, beside compressors: shorter is better.

    Args:
        networks: Bits per byte of held-out text, by name.
        compressors: Compressed size of the same text, in bits for each byte, by name.

    Raises:
        ValueError: If there is no network, or a number is not positive and finite.
    """
    if not networks:
        raise ValueError("bits_per_byte_bars needs at least one network.")
    for name, bits in {**networks, **compressors}.items():
        if not 0 < bits < np.inf:
            raise ValueError(f"bits per byte of {name!r} must be positive and finite, not {bits}.")
    figure = blank(x_title="bits per byte of held-out text (bits)", y_title="model", title=title)
    for group, name, fill, pattern in (
        (networks, "network", POSITIVE, ""),
        (compressors, "compressor", BASELINE, "/"),
    ):
        figure.add_bar(
            x=list(group.values()),
            y=[plain(each) for each in group],
            orientation="h",
            name=name,
            marker={"color": fill, "pattern": {"shape": pattern}},
            texttemplate="%{x:.3f}",
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f} bits per byte",
        )
    figure.update_yaxes(type="category", categoryorder="total descending")
    return figure.update_layout(height=150 + 30 * (len(networks) + len(compressors)))


def _with_unit(metric: str, unit: str | None) -> str:
    unit = unit or _UNITS.get(metric)
    return f"{metric} ({unit})" if unit else metric


def _add_dots(
    figure: go.Figure, rows: pd.DataFrame, name: str, index: int, baselines: Collection[str]
) -> None:
    value = rows["value"].to_numpy(dtype=float)
    low, high = rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float)
    hollow = rows["method"].astype(str).isin(list(baselines)).to_numpy()
    shape = symbol(index)
    figure.add_scatter(
        x=value,
        y=[plain(method) for method in rows["method"]],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": np.nan_to_num(high - value),
            "arrayminus": np.nan_to_num(value - low),
            "width": 0,
            "thickness": 2,
            "color": colour(index),
        },
        orientation="h",
        offsetgroup=str(index),
        mode="markers",
        name=plain(name),
        marker={
            "size": 9,
            "color": colour(index),
            "symbol": [f"{shape}-open" if each else shape for each in hollow],
            "line": {"width": 2, "color": colour(index)},
        },
        customdata=np.stack([low, high], axis=1),
        hovertemplate="%{y}: %{x:.3f} [%{customdata[0]:.3f}, %{customdata[1]:.3f}]",
    )


def _range(measurements: pd.DataFrame, published: Mapping[str, float]) -> list[float]:
    """The x axis from the lowest to the highest of all that is drawn, and a little more."""
    drawn = measurements[["value", "low", "high"]].to_numpy(dtype=float).ravel()
    drawn = np.concatenate([drawn[np.isfinite(drawn)], list(published.values())])
    beside = 0.05 * float(np.ptp(drawn)) or 0.05
    return [float(drawn.min()) - beside, float(drawn.max()) + beside]


def _add_published(figure: go.Figure, name: str, value: float, index: int) -> None:
    figure.add_vline(
        x=value,
        line={"color": BASELINE, "width": 1.5, "dash": dash(index)},
        name=f"{plain(name)}: {value:.3f}",
        showlegend=True,
    )

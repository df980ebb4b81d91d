"""Figures of single units: how one separates two classes, and how all of them rank."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Bool, Real

from worldscope.figures.given import require_columns
from worldscope.figures.look import BASELINE, NEGATIVE, POSITIVE, blank, plain

_BINS = 60
_RANKING = ("unit", "auroc", "accuracy", "sign")
_SIDES = (
    (True, POSITIVE, "circle", "higher on the positive class"),
    (False, NEGATIVE, "diamond", "higher on the negative class"),
)


def unit_histograms(
    values: Real[np.ndarray, " n"],
    labels: Real[np.ndarray, " n"] | Bool[np.ndarray, " n"],
    *,
    unit_name: str,
    threshold: float | None = None,
    label_names: tuple[str, str] = ("negative", "positive"),
    title: str | None = None,
) -> go.Figure:
    """The activations of one unit on two classes: overlaid histograms, each summing to 100 %.

    Args:
        values: One activation a row.
        labels: 0 or 1 a row.
        unit_name: What was measured, and in which unit: the title of the x axis.
        threshold: The decision threshold, drawn as a line; an infinite one lies outside.
        label_names: What 0 and 1 mean.

    Raises:
        ValueError: If there is not one label for each value, if the labels are not 0 and 1 with
            both present, or if a value is not finite.
    """
    _check_histogram(values, labels)
    edges = np.histogram_bin_edges(values.astype(np.float64), bins=_BINS)
    figure = blank(x_title=unit_name, y_title="share of the class in each bin (%)", title=title)
    for label, colour in enumerate((NEGATIVE, POSITIVE)):
        rows = values[labels == label]
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=100 * np.histogram(rows, edges)[0] / len(rows),
            width=np.diff(edges),
            name=f"{plain(label_names[label])} (n = {len(rows):,})",
            marker={"color": colour, "opacity": 0.6, "line": {"width": 0}},
            hovertemplate="%{x:.3g}: %{y:.2f} %",
        )
    if threshold is not None and np.isfinite(threshold):
        figure.add_vline(
            x=threshold,
            line={"dash": "dash", "color": BASELINE, "width": 2},
            annotation={"text": f"threshold {threshold:.3g}", "xanchor": "left"},
        )
    return figure.update_layout(barmode="overlay", bargap=0)


def ranking_scatter(ranking: pd.DataFrame, *, top: int = 5, title: str | None = None) -> go.Figure:
    """Every unit's AUROC, sorted; the `top` units that lie farthest from chance are named.

    Args:
        ranking: A row for each unit with the columns unit, auroc, accuracy and sign (1 or -1).
        top: How many units are named.

    Raises:
        ValueError: If the ranking has no rows, or lacks a column.
    """
    require_columns(ranking, _RANKING, figure="ranking_scatter")
    ranked = ranking.sort_values("auroc", ascending=False, ignore_index=True)
    figure = blank(x_title="rank (units)", y_title="AUROC (0.5 is chance)", title=title)
    for on_positive, colour, symbol, name in _SIDES:
        part = ranked.loc[(ranked["auroc"] >= 0.5) == on_positive]
        figure.add_scatter(
            x=np.asarray(part.index) + 1,
            y=part["auroc"].to_numpy(),
            customdata=np.stack([part["unit"].map(plain), part["accuracy"]], axis=1),
            mode="markers",
            name=name,
            marker={"color": colour, "size": 6, "symbol": symbol},
            hovertemplate="unit %{customdata[0]}: AUROC %{y:.3f}, accuracy %{customdata[1]:.3f}",
        )
    figure.add_hline(y=0.5, line={"color": BASELINE, "dash": "dash", "width": 1})
    for rank, unit, auroc, label_x, label_y in _labels(ranked, top):
        figure.add_annotation(
            {"x": rank, "y": auroc, "ax": label_x, "ay": label_y, "axref": "x", "ayref": "y"},
            text=f"unit {plain(unit)}: {auroc:.3f}",
            xanchor="left" if label_x > rank else "right",
            arrowhead=0,
            arrowcolor=BASELINE,
        )
    return figure


def ranking_bars(ranking: pd.DataFrame, *, top: int = 15, title: str | None = None) -> go.Figure:
    """The AUROC and the accuracy of the `top` units whose AUROC lies farthest from chance.

    Args:
        ranking: A row for each unit with the columns unit, auroc, accuracy and sign (1 or -1).
        top: How many units are drawn.

    Raises:
        ValueError: If the ranking has no rows, or lacks a column.
    """
    require_columns(ranking, _RANKING, figure="ranking_bars")
    best = _best(ranking, top)
    signs = np.where(best["sign"] > 0, "+", "−")
    names = [f"{plain(unit)} ({sign})" for unit, sign in zip(best["unit"], signs, strict=True)]
    figure = blank(x_title="score (0.5 is chance)", y_title="unit (sign)", title=title)
    for column, colour, symbol in (("auroc", POSITIVE, "circle"), ("accuracy", NEGATIVE, "x")):
        figure.add_scatter(
            x=best[column].to_numpy(),
            y=names,
            mode="markers",
            name="AUROC" if column == "auroc" else column,
            marker={"color": colour, "size": 9, "symbol": symbol},
            hovertemplate="unit %{y}: %{x:.3f}",
        )
    figure.update_yaxes(type="category", autorange="reversed")
    return figure.update_layout(height=150 + 24 * len(best))


def _best(ranking: pd.DataFrame, top: int) -> pd.DataFrame:
    distance = np.abs(ranking["auroc"].to_numpy(dtype=float) - 0.5)
    return ranking.iloc[np.argsort(-distance, kind="stable")[:top]]


def _labels(ranked: pd.DataFrame, top: int) -> Iterator[tuple[int, object, float, float, float]]:
    """Rank, unit, AUROC and a free place (x, y) for the name of each of the best units.

    Names stand beside their points, towards the middle ranks, and far enough apart to be read.
    """
    best = _best(ranked, top)
    apart = 0.06 * float(np.ptp(ranked["auroc"].to_numpy(dtype=float)))
    aside = 0.06 * len(ranked)
    last = {1: np.inf, -1: -np.inf}
    for index, unit, auroc in zip(best.index, best["unit"], best["auroc"], strict=True):
        end = 1 if auroc >= 0.5 else -1  # of the ranking
        y = last[end] = end * min(end * auroc, end * last[end] - apart)
        yield index + 1, unit, auroc, index + 1 + end * aside, y


def _check_histogram(values: np.ndarray, labels: np.ndarray) -> None:
    if len(values) != len(labels):
        raise ValueError(
            f"a histogram needs one label for each value; there are {len(values)} values and "
            f"{len(labels)} labels."
        )
    found = np.unique(labels)
    if not np.array_equal(found, [0, 1]):
        raise ValueError(f"labels must be 0 and 1, both present; found {found.tolist()[:5]}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{(~np.isfinite(values)).sum()} of {len(values)} values are not finite.")

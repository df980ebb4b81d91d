"""Figures of how a score depends on labels, sparsity, regularisation and training."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Real
from plotly.subplots import make_subplots

from worldscope.figures.given import require_lengths
from worldscope.figures.look import (
    BASELINE,
    NEGATIVE,
    POSITIVE,
    blank,
    colour,
    dash,
    plain,
    symbol,
    template,
)


def label_curve(
    counts: Real[np.ndarray, " n"],
    accuracy: Mapping[str, Real[np.ndarray, "seeds n"]],
    *,
    references: Mapping[str, float] | None = None,
    title: str | None = None,
) -> go.Figure:
    """Accuracy against the number of labelled examples: the mean as a line, each seed a point.

    Args:
        counts: Numbers of labels.
        accuracy: For each method, a row for each seed and a column for each count.
        references: Names and values of other results, drawn as lines.

    Raises:
        ValueError: If there is nothing to draw, or a method has not one column for each count.
    """
    require_lengths(
        counts, {name: seeds.T for name, seeds in accuracy.items()}, figure="label_curve"
    )
    figure = blank(x_title="labels (examples)", y_title="accuracy (share correct)", title=title)
    for index, (name, seeds) in enumerate(accuracy.items()):
        _add_line(figure, counts, seeds.mean(axis=0), name, index)
        _add_points(figure, counts, seeds, name, index)
    _add_levels(figure, references)
    figure.update_xaxes(type="log", dtick=1, tickformat=",")
    return figure


def ksparse_curve(
    k: Real[np.ndarray, " n"],
    scores: Mapping[str, Real[np.ndarray, " n"]],
    *,
    score_title: str = "accuracy (share correct)",
    references: Mapping[str, float] | None = None,
    title: str | None = None,
) -> go.Figure:
    """The score of probes that may read only k units: is a state in one unit or spread out?

    Args:
        k: Numbers of units.
        scores: For each probe or data set, a score for each k.
        score_title: What is scored, and its unit.
        references: Names and values of other results, drawn as lines.

    Raises:
        ValueError: If there is nothing to draw, or not one score for each k.
    """
    require_lengths(k, scores, figure="ksparse_curve")
    figure = blank(x_title="k (units that the probe may read)", y_title=score_title, title=title)
    for index, (name, values) in enumerate(scores.items()):
        _add_line(figure, k, values, name, index)
    _add_levels(figure, references)
    figure.update_xaxes(type="log", tickvals=k, ticktext=[f"{each:,}" for each in k])
    return figure


def l1_path(
    c: Real[np.ndarray, " n"],
    accuracy: Real[np.ndarray, " n"],
    nonzeros: Real[np.ndarray, " n"],
    *,
    chosen: float | None = None,
    title: str | None = None,
) -> go.Figure:
    """Accuracy on the dev split and number of non-zero weights of an L1 probe, against C.

    Args:
        c: Inverse strengths of the penalty.
        accuracy: Accuracy on the dev split for each C.
        nonzeros: Weights that are not zero for each C.
        chosen: The C that was chosen, drawn as a line.

    Raises:
        ValueError: If there is nothing to draw, or not one number for each C.
    """
    require_lengths(c, {"accuracy": accuracy, "nonzeros": nonzeros}, figure="l1_path")
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    figure.update_layout(template=template(), height=520, showlegend=False)
    panels = (
        (accuracy, "dev accuracy (share)", POSITIVE, "%{y:.3f}"),
        (nonzeros, "weights ≠ 0 (count)", NEGATIVE, "%{y:,}"),
    )
    for row, (values, y_title, line, shown) in enumerate(panels, start=1):
        figure.add_scatter(
            x=c,
            y=values,
            mode="lines+markers",
            name=y_title,
            line={"color": line},
            hovertemplate=f"C = %{{x:.3g}}: {shown}",
            row=row,
            col=1,
        )
        figure.update_yaxes(title_text=y_title, row=row, col=1)
    figure.update_xaxes(type="log", dtick=1)
    figure.update_xaxes(title_text="C, inverse strength of the L1 penalty (1 / nats)", row=2, col=1)
    if chosen is not None:
        line = {"color": BASELINE, "dash": "dash"}
        figure.add_vline(x=chosen, line=line)
        figure.add_annotation(
            x=np.log10(chosen),
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            text=f"chosen: C = {chosen:.3g}",
        )
    if title:
        figure.update_layout(title_text=plain(title))
    return figure


def emergence_curve(
    training_bytes: Real[np.ndarray, " n"],
    scores: Mapping[str, Real[np.ndarray, " n"]],
    *,
    baselines: Mapping[str, float] | None = None,
    score_title: str = "accuracy (share correct)",
    title: str | None = None,
) -> go.Figure:
    """Scores of checkpoints against the bytes that they were trained on.

    Args:
        training_bytes: Bytes seen by each checkpoint; all positive, as the axis is logarithmic.
        scores: For each feature or probe, a score for each checkpoint.
        baselines: Names and scores of baselines, drawn as lines.
        score_title: What is scored, and its unit.

    Raises:
        ValueError: If there is nothing to draw, not one score for each checkpoint, or a checkpoint
            has seen no bytes: draw the untrained network as a baseline.
    """
    require_lengths(training_bytes, scores, figure="emergence_curve")
    if np.min(training_bytes) <= 0:
        raise ValueError(
            "emergence_curve has a logarithmic axis: draw the network that has seen 0 bytes as a "
            "baseline."
        )
    figure = blank(x_title="training text (bytes)", y_title=score_title, title=title)
    for index, (name, values) in enumerate(scores.items()):
        _add_line(figure, training_bytes, values, name, index)
    _add_levels(figure, baselines)
    figure.update_xaxes(type="log", dtick="D2", exponentformat="SI", ticksuffix="B")
    return figure


def loss_curve(
    losses: Mapping[str, tuple[Real[np.ndarray, " n"], Real[np.ndarray, " n"]]],
    *,
    x_title: str = "training text (bytes)",
    loss_title: str = "loss (bits per byte)",
    references: Mapping[str, float] | None = None,
    title: str | None = None,
) -> go.Figure:
    """The losses of trainings.

    Args:
        losses: For each training or split, (amount of training, loss at it).
        x_title: How training is counted, and in which unit.
        loss_title: Which loss, and in which unit.
        references: Names and losses of others, such as compressors, drawn as lines.

    Raises:
        ValueError: If there is nothing to draw, or not one loss for each x.
    """
    if not losses:
        raise ValueError("loss_curve was given nothing to draw.")
    figure = blank(x_title=x_title, y_title=loss_title, title=title)
    for index, (name, (x, loss)) in enumerate(losses.items()):
        require_lengths(x, {name: loss}, figure="loss_curve")
        _add_line(figure, x, loss, name, index, mode="lines")
    _add_levels(figure, references)
    return figure


def _add_line(
    figure: go.Figure,
    x: np.ndarray,
    y: np.ndarray,
    name: str,
    index: int,
    *,
    mode: str = "lines+markers",
) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        mode=mode,
        name=plain(name),
        legendgroup=plain(name),
        line={"color": colour(index), "width": 2},
        marker={"symbol": symbol(index), "size": 8},
        hovertemplate="%{x:,}: %{y:.3f}",
    )


def _add_points(figure: go.Figure, x: np.ndarray, seeds: np.ndarray, name: str, index: int) -> None:
    figure.add_scatter(
        x=np.tile(x, len(seeds)),
        y=seeds.ravel(),
        mode="markers",
        name=f"{plain(name)}, each seed",
        legendgroup=plain(name),
        showlegend=False,
        marker={"color": colour(index), "symbol": symbol(index), "size": 5, "opacity": 0.5},
        hovertemplate="%{x:,}: %{y:.3f}",
    )


def _add_levels(figure: go.Figure, levels: Mapping[str, float] | None) -> None:
    for index, (name, value) in enumerate((levels or {}).items()):
        figure.add_hline(
            y=value,
            line={"color": BASELINE, "width": 1.5, "dash": dash(index)},
            name=f"{plain(name)}: {value:.3f}",
            showlegend=True,
        )

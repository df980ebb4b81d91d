"""Facts about the curves of labels, sparsity, regularisation and training."""

from collections.abc import Callable
from inspect import unwrap as as_users_call  # without the shape checks of a test run
from typing import Any

import numpy as np
import pytest

from worldscope.figures import emergence_curve, ksparse_curve, l1_path, label_curve, loss_curve

X = np.array([1.0, 10.0, 100.0])
Y = np.array([0.5, 0.7, 0.9])


def test_the_label_curve_is_the_mean_and_each_seed_is_a_point(traces: Callable[..., Any]) -> None:
    seeds = np.array([[0.5, 0.7, 0.9], [0.7, 0.7, 1.0]])
    line, points = traces(label_curve(X, {"best unit": seeds}))
    assert line.x.tolist() == X.tolist()
    assert line.y == pytest.approx([0.6, 0.7, 0.95])
    drawn = sorted(zip(points.x, points.y, strict=True))
    assert drawn == sorted((x, y) for row in seeds for x, y in zip(X, row, strict=True))
    assert not points.showlegend


def test_scores_of_several_probes_are_lines_at_the_given_numbers(
    traces: Callable[..., Any],
) -> None:
    first, second = traces(ksparse_curve(X, {"a": Y, "b": Y / 2}))
    assert (first.name, first.x.tolist(), first.y.tolist()) == ("a", X.tolist(), Y.tolist())
    assert second.y.tolist() == (Y / 2).tolist()
    assert (first.line.color, first.marker.symbol) != (second.line.color, second.marker.symbol)


def test_every_k_is_a_tick() -> None:
    axis = ksparse_curve(np.array([1, 2, 1024]), {"a": Y}).layout.xaxis
    assert (axis.type, list(axis.tickvals), list(axis.ticktext)) == (
        "log",
        [1, 2, 1024],
        ["1", "2", "1,024"],
    )


def test_the_l1_path_has_accuracy_above_and_counts_below_on_one_axis_of_c(
    traces: Callable[..., Any],
) -> None:
    figure = l1_path(X, Y, np.array([1, 20, 300]), chosen=10.0)
    accuracy, nonzeros = traces(figure)
    assert accuracy.y.tolist() == Y.tolist()
    assert nonzeros.y.tolist() == [1, 20, 300]
    assert accuracy.x.tolist() == nonzeros.x.tolist() == X.tolist()
    assert figure.layout.xaxis.matches == "x2"
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"
    assert [shape.x0 for shape in figure.layout.shapes] == [10.0, 10.0]
    assert [(note.x, note.text) for note in figure.layout.annotations] == [(1.0, "chosen: C = 10")]


def test_emergence_is_drawn_over_bytes_on_a_logarithmic_axis(traces: Callable[..., Any]) -> None:
    figure = emergence_curve(X, {"unit": Y}, baselines={"random-init baseline": 0.61})
    assert figure.layout.xaxis.type == "log"
    assert traces(figure)[0].y.tolist() == Y.tolist()
    (line,) = figure.layout.shapes
    assert (line.y0, line.y1, line.name) == (0.61, 0.61, "random-init baseline: 0.610")


def test_a_checkpoint_without_training_has_no_place_on_a_logarithmic_axis() -> None:
    with pytest.raises(ValueError, match="draw the network that has seen 0 bytes as a baseline"):
        emergence_curve(np.array([0.0, 1.0, 2.0]), {"unit": Y})


def test_losses_of_different_lengths_share_a_figure(traces: Callable[..., Any]) -> None:
    train, dev = traces(loss_curve({"train": (X, Y), "dev": (X[:2], Y[:2])}))
    assert (train.x.tolist(), train.y.tolist()) == (X.tolist(), Y.tolist())
    assert (dev.x.tolist(), dev.y.tolist()) == (X[:2].tolist(), Y[:2].tolist())


@pytest.mark.parametrize(
    ("draw", "complaint"),
    [
        (lambda: ksparse_curve(X, {}), "ksparse_curve was given nothing to draw"),
        (lambda: ksparse_curve(X[:0], {"a": Y[:0]}), "ksparse_curve was given nothing to draw"),
        (lambda: loss_curve({}), "loss_curve was given nothing to draw"),
        (lambda: as_users_call(emergence_curve)(X, {"a": Y[:2]}), "3 values of 'a'.*; it has 2"),
        (lambda: as_users_call(loss_curve)({"a": (X, Y[:2])}), "3 values of 'a'.*; it has 2"),
        (lambda: as_users_call(label_curve)(X, {"a": np.ones((3, 2))}), "3 values of 'a'"),
        (lambda: as_users_call(l1_path)(X, Y, Y[:1]), "3 values of 'nonzeros'.*; it has 1"),
    ],
)
def test_what_cannot_be_drawn_is_named(draw: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        draw()

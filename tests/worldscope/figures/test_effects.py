"""Facts about the figures of what steering does and costs."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from worldscope.figures import cost_curve, steering_curve

SHARES = pd.DataFrame(
    [
        ("unit 3", "lexicon", 4.0, 0.9, 0.8, 0.95),
        ("unit 3", "lexicon", -4.0, 0.1, 0.05, 0.2),
        ("unit 3", "probe", 4.0, 0.85, 0.75, 0.9),
        ("placebo units", "lexicon", 4.0, 0.5, None, None),
    ],
    columns=["steered", "judge", "strength", "share", "low", "high"],
)


def test_there_is_one_trace_for_each_steered_thing_and_judge(traces: Callable[..., Any]) -> None:
    drawn = traces(steering_curve(SHARES))
    assert [trace.name for trace in drawn] == [
        "unit 3, lexicon",
        "unit 3, probe",
        "placebo units, lexicon",
    ]
    assert drawn[0].x.tolist() == [-4.0, 4.0]
    assert drawn[0].y.tolist() == [0.1, 0.9]
    assert drawn[0].y + drawn[0].error_y.array == pytest.approx([0.2, 0.95])
    assert drawn[0].y - drawn[0].error_y.arrayminus == pytest.approx([0.05, 0.8])


def test_a_judge_keeps_its_colour_and_a_placebo_is_dotted_and_hollow(
    traces: Callable[..., Any],
) -> None:
    feature, other, placebo = traces(steering_curve(SHARES))
    assert feature.line.color == placebo.line.color != other.line.color
    assert (feature.line.dash, placebo.line.dash) == ("solid", "dot")
    assert placebo.marker.symbol == f"{feature.marker.symbol}-open"


def test_an_interval_that_was_not_measured_is_not_drawn(traces: Callable[..., Any]) -> None:
    placebo = traces(steering_curve(SHARES))[2]
    assert (placebo.error_y.array.tolist(), placebo.error_y.arrayminus.tolist()) == ([0], [0])


def test_costs_are_drawn_beside_the_budget(traces: Callable[..., Any]) -> None:
    costs = SHARES.rename(columns={"share": "cost"}).query("judge == 'lexicon'")
    figure = cost_curve(costs)
    assert [trace.name for trace in traces(figure)] == ["unit 3", "placebo units"]
    assert traces(figure)[0].y.tolist() == [0.1, 0.9]
    budgets = [(line.y0, line.name, line.showlegend) for line in figure.layout.shapes]
    name = "budget: ±0.15"
    assert budgets == [(0.15, name, True), (-0.15, name, False)], "cheaper text counts too"
    assert cost_curve(costs, budget=0.3).layout.shapes[0].y0 == 0.3


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="steering_curve needs .*; the table lacks judge"):
        steering_curve(SHARES.drop(columns="judge"))
    with pytest.raises(ValueError, match="cost_curve needs .*; the table lacks cost"):
        cost_curve(SHARES)

"""Facts about the figures that put results side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from worldscope.figures import accuracy_bars, bits_per_byte_bars
from worldscope.measures import Measurement, measurements_table

MEASUREMENTS = pd.DataFrame(
    [
        ("raw-input baseline", "IMDB", 0.86, 0.85, 0.87, 0),
        ("best unit", "IMDB", 0.81, 0.79, 0.84, 0),
        ("best unit", "IMDB", 0.80, None, None, 1),
        ("best unit", "SST", 0.70, 0.66, 0.73, 0),
    ],
    columns=["method", "data", "value", "low", "high", "seed"],
).assign(metric="accuracy")


def test_dots_stand_at_the_values_and_lines_reach_to_the_interval(
    traces: Callable[..., Any],
) -> None:
    imdb, sst = traces(accuracy_bars(MEASUREMENTS))
    assert (imdb.name, sst.name) == ("IMDB", "SST")
    assert list(imdb.y) == ["raw-input baseline", "best unit", "best unit"]
    assert imdb.x.tolist() == [0.86, 0.81, 0.80]
    assert imdb.x[:2] + imdb.error_x.array[:2] == pytest.approx([0.87, 0.84])
    assert imdb.x[:2] - imdb.error_x.arrayminus[:2] == pytest.approx([0.85, 0.79])


def test_a_measurement_without_interval_has_no_line(traces: Callable[..., Any]) -> None:
    imdb = traces(accuracy_bars(MEASUREMENTS))[0]
    assert (imdb.error_x.array[2], imdb.error_x.arrayminus[2]) == (0, 0)


def test_baselines_are_hollow_and_below_the_others(traces: Callable[..., Any]) -> None:
    figure = accuracy_bars(MEASUREMENTS)
    assert list(traces(figure)[0].marker.symbol) == ["circle-open", "circle", "circle"]
    assert figure.layout.yaxis.categoryarray == ("best unit", "raw-input baseline")
    assert figure.layout.yaxis.autorange == "reversed"


def test_which_methods_are_baselines_can_be_said(traces: Callable[..., Any]) -> None:
    figure = accuracy_bars(MEASUREMENTS, baselines=["best unit"])
    assert list(traces(figure)[0].marker.symbol) == ["circle", "circle-open", "circle-open"]
    assert figure.layout.yaxis.categoryarray == ("raw-input baseline", "best unit")


def test_data_sets_differ_in_colour_and_in_shape(traces: Callable[..., Any]) -> None:
    imdb, sst = traces(accuracy_bars(MEASUREMENTS))
    assert imdb.marker.color != sst.marker.color
    assert imdb.marker.symbol[-1] != sst.marker.symbol[-1]


def test_published_results_are_lines_in_the_legend() -> None:
    figure = accuracy_bars(MEASUREMENTS, published={"Radford 2017": 0.9288})
    (line,) = figure.layout.shapes
    assert (line.x0, line.x1, line.name) == (0.9288, 0.9288, "Radford 2017: 0.929")
    assert line.showlegend


def test_everything_that_is_drawn_lies_within_the_axis() -> None:
    low, high = accuracy_bars(MEASUREMENTS, published={"a": 0.95}).layout.xaxis.range
    assert low < 0.66
    assert high > 0.95


@pytest.mark.parametrize(
    ("metric", "unit", "title"),
    [
        ("accuracy", None, "accuracy (share correct)"),
        ("auroc", None, "auroc (0.5 is chance)"),
        ("bits per byte", None, "bits per byte"),
        ("r2", "share of variance", "r2 (share of variance)"),
    ],
)
def test_the_metric_and_its_unit_title_the_axis(metric: str, unit: str | None, title: str) -> None:
    figure = accuracy_bars(MEASUREMENTS.assign(metric=metric), unit=unit)
    assert figure.layout.xaxis.title.text == title


def test_a_table_of_measurements_can_be_drawn(traces: Callable[..., Any]) -> None:
    rows = [
        Measurement(question="q", method=method, metric="accuracy", value=value, data="IMDB")
        for method, value in (("a", 0.5), ("b", 0.75))
    ]
    (imdb,) = traces(accuracy_bars(measurements_table(rows)))
    assert (list(imdb.y), imdb.x.tolist()) == (["a", "b"], [0.5, 0.75])


def test_several_metrics_are_refused() -> None:
    mixed = MEASUREMENTS.assign(metric=["accuracy", "auroc", "auroc", "accuracy"])
    with pytest.raises(ValueError, match="one metric; the table has accuracy, auroc"):
        accuracy_bars(mixed)


def test_networks_and_compressors_are_bars_of_their_own_kind(traces: Callable[..., Any]) -> None:
    networks, compressors = traces(bits_per_byte_bars({"a": 1.6, "b": 1.8}, {"gzip": 3.1}))
    assert (list(networks.y), list(networks.x)) == (["a", "b"], [1.6, 1.8])
    assert (list(compressors.y), list(compressors.x)) == (["gzip"], [3.1])
    assert networks.marker.color != compressors.marker.color


@pytest.mark.parametrize("bits", [0.0, -1.0, np.nan, np.inf])
def test_bits_that_cannot_be_are_refused(bits: float) -> None:
    with pytest.raises(ValueError, match="bits per byte of 'gzip' must be positive and finite"):
        bits_per_byte_bars({"a": 1.6}, {"gzip": bits})


def test_compressors_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one network"):
        bits_per_byte_bars({}, {"gzip": 3.1})

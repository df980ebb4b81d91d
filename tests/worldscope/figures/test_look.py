"""Facts that hold for every figure."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from worldscope import figures
from worldscope.figures.heatmap import luminance
from worldscope.figures.look import BASELINE, is_baseline, plain

HOSTILE = "<a href='javascript:alert(1)'>&amp; <b>"


def ranking() -> pd.DataFrame:
    return pd.DataFrame(
        {"unit": [7, HOSTILE], "auroc": [0.9, 0.2], "accuracy": [0.8, 0.7], "sign": [1, -1]}
    )


def measurements() -> pd.DataFrame:
    row = {"method": HOSTILE, "data": HOSTILE, "metric": "accuracy"}
    return pd.DataFrame([row | {"value": 0.8, "low": 0.7, "high": 0.9}])


def effects(column: str) -> pd.DataFrame:
    row = {"steered": HOSTILE, "judge": HOSTILE, "strength": 1.0}
    return pd.DataFrame([row | {column: 0.5, "low": 0.4, "high": 0.6}])


X = np.array([1.0, 10.0, 100.0])
FIGURES: dict[str, Callable[[], go.Figure]] = {
    "unit_histograms": lambda: figures.unit_histograms(
        X, np.array([0, 1, 1]), unit_name=HOSTILE, threshold=2.0, label_names=(HOSTILE, "b")
    ),
    "ranking_scatter": lambda: figures.ranking_scatter(ranking(), title=HOSTILE),
    "ranking_bars": lambda: figures.ranking_bars(ranking(), title=HOSTILE),
    "accuracy_bars": lambda: figures.accuracy_bars(
        measurements(), published={HOSTILE: 0.9}, title=HOSTILE
    ),
    "bits_per_byte_bars": lambda: figures.bits_per_byte_bars({HOSTILE: 1.0}, {"gzip": 2.0}),
    "label_curve": lambda: figures.label_curve(
        X, {HOSTILE: np.stack([X, X])}, references={HOSTILE: 0.5}
    ),
    "ksparse_curve": lambda: figures.ksparse_curve(X, {HOSTILE: X}, references={HOSTILE: 0.5}),
    "l1_path": lambda: figures.l1_path(X, X, X, chosen=10.0, title=HOSTILE),
    "emergence_curve": lambda: figures.emergence_curve(X, {HOSTILE: X}, baselines={HOSTILE: 0.5}),
    "loss_curve": lambda: figures.loss_curve({HOSTILE: (X, X)}, references={HOSTILE: 0.5}),
    "steering_curve": lambda: figures.steering_curve(effects("share"), title=HOSTILE),
    "cost_curve": lambda: figures.cost_curve(effects("cost"), title=HOSTILE),
}


@pytest.fixture(params=FIGURES)
def figure(request: pytest.FixtureRequest) -> go.Figure:
    return FIGURES[request.param]()


def test_every_drawing_function_is_among_those_tested() -> None:
    functions = {name for name in figures.__all__ if callable(getattr(figures, name))}
    assert set(FIGURES) == functions - {"template", "text_heatmap"}


def test_every_outer_axis_has_a_title_that_names_its_unit(figure: go.Figure) -> None:
    axes = [*figure.select_xaxes(), *figure.select_yaxes()]
    titles = [axis.title.text for axis in axes if axis.matches is None]
    assert len(titles) >= 2
    assert all(titles)
    named = [title for title in titles if title not in ("method", "model", plain(HOSTILE))]
    assert all("(" in title for title in named)


def test_text_from_data_enters_no_figure_as_markup(figure: go.Figure) -> None:
    drawn = figure.to_json()
    assert drawn is not None
    assert HOSTILE not in drawn.replace("\\u003c", "<")
    assert "<a href" not in drawn.replace("\\u003c", "<")
    assert "&lt;a href" in drawn


def test_every_figure_has_the_shared_look(figure: go.Figure) -> None:
    assert figure.layout.template == figures.template()


def test_light_and_dark_differ_in_colours_only() -> None:
    light, dark = (figures.template(dark=dark).to_plotly_json()["layout"] for dark in (False, True))
    assert light["margin"] == dark["margin"]
    assert light["font"]["size"] == dark["font"]["size"]
    assert luminance(light["font"]["color"]) < 0.05
    assert luminance(dark["font"]["color"]) > 0.7


def test_the_look_does_not_change_plotly_elsewhere() -> None:
    assert go.Figure().layout.template != figures.template()


def test_no_two_colours_look_alike_in_grey_or_as_text() -> None:
    assert len({*figures.PALETTE, BASELINE}) == len(figures.PALETTE) + 1
    negative, positive = luminance(figures.NEGATIVE), luminance(figures.POSITIVE)
    assert abs(negative - positive) > 0.05


def test_the_diverging_colours_are_lightest_at_zero_and_darken_both_ways() -> None:
    light = np.array([luminance(colour) for colour in figures.DIVERGING])
    middle = len(light) // 2
    assert (np.diff(light[: middle + 1]) > 0).all()
    assert (np.diff(light[middle:]) < 0).all()


def test_no_figure_offers_to_upload_its_data() -> None:
    assert figures.CONFIG["showSendToCloud"] is False


@pytest.mark.parametrize(
    ("name", "expected"),
    [("random-init baseline", True), ("Placebo units", True), ("best unit", False), (3, False)],
)
def test_a_baseline_is_known_by_its_name(name: object, expected: bool) -> None:
    assert is_baseline(name) is expected

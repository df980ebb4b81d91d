"""The page Runs."""

from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest


def test_runs_are_listed_newest_first_with_what_is_wrong(
    open_page: Callable[..., "AppTest"],
) -> None:
    listed = open_page("runs").dataframe[0].value
    assert listed["run"].tolist() == ["broken", "good", "failed"]
    assert listed["state"].tolist() == ["broken", "finished", "failed"]
    assert listed["what is wrong"].tolist() == [
        "config.json is not readable JSON",
        "",
        "ValueError: text 3 is empty",
    ]


def test_words_choose_measurements(open_page: Callable[..., "AppTest"]) -> None:
    app = open_page("runs")
    assert app.selectbox(key="Runs.run").value == "good"
    assert app.dataframe[1].value["value"].tolist() == [1.0, 0.75, 1.0, 0.75]
    app.text_input(key="Runs.words").set_value("TEST mean").run()
    shown = app.dataframe[1].value
    assert shown["value"].tolist() == [0.75]
    assert shown["n"].tolist() == [4]
    caption = app.caption[1].value.replace("\\", "")
    assert "1 of 4 measurements of run good" in caption
    assert "split: test · hook: lstm.0.hook_c · position: mean" in caption
    assert app.query_params["words"] == "TEST mean"


def test_figures_are_the_runs_own(open_page: Callable[..., "AppTest"], runs_folder: Path) -> None:
    from worldscope.runs import load_run

    app = open_page("runs", section="Figures")
    (chart,) = app.get("plotly_chart")
    figure = load_run(runs_folder / "good").load_figure("ranking")
    assert str(figure.layout.yaxis.title.text) in chart.proto.spec
    assert "Figure ranking of run good" in app.caption[1].value.replace("\\", "")


def test_the_report_is_shown_apart_and_can_be_kept(
    open_page: Callable[..., "AppTest"], runs_folder: Path
) -> None:
    app = open_page("runs", section="Report")
    (frame,) = app.get("iframe")
    report = (runs_folder / "good" / "report.html").read_text("utf-8")
    assert report in unescape(frame.proto.srcdoc)
    assert 'sandbox="allow-scripts allow-downloads"' in frame.proto.srcdoc
    assert app.get("download_button")


def test_settings_are_the_configuration_and_the_environment(
    open_page: Callable[..., "AppTest"], network_folder: Path
) -> None:
    app = open_page("runs", section="Settings")
    configuration, environment = (block.value for block in app.json)
    assert str(network_folder) in configuration
    assert '"torch"' in environment
    assert "seed 0" in app.caption[1].value


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        ("broken", "Run broken is broken: config.json is not readable JSON"),
        ("failed", "Run failed failed: ValueError: text 3 is empty"),
    ],
)
def test_a_run_that_went_wrong_says_how(
    run: str, sentence: str, open_page: Callable[..., "AppTest"]
) -> None:
    app = open_page("runs", run=run)
    (error,) = app.error
    assert error.value.replace("\\", "") == sentence


@pytest.mark.parametrize("section", ["Measurements", "Figures", "Report"])
def test_what_a_run_does_not_have_yet_is_said(
    section: str, open_page: Callable[..., "AppTest"]
) -> None:
    app = open_page("runs", run="failed", section=section)
    assert app.info[0].value.endswith("yet.")
    assert not app.exception


def test_without_runs_it_shows_the_command_that_makes_one(
    open_page: Callable[..., "AppTest"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path / "none"))
    app = open_page("runs")
    assert app.code[0].value == "worldscope run sentiment_neuron --preset demo"
    assert not app.dataframe

"""The page Units."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

HOOK = "lstm.0.hook_c"


@pytest.fixture
def ranking(runs_folder: Path) -> list[dict[str, Any]]:
    """The units as the run ranked them by their mean states, best first."""
    from worldscope.runs import load_run

    rows = load_run(runs_folder / "good").load_table("ranking").to_dict("records")
    return [row for row in rows if row["position"] == "mean"]


@pytest.fixture
def tested(runs_folder: Path, ranking: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The value of the second-best unit on each test text, beside its label; lowest first."""
    from worldscope.runs import load_run

    run = load_run(runs_folder / "good")
    texts = {row["row"]: row for row in run.load_table("texts").to_dict("records")}
    found = [
        texts[stored["row"]] | {"value": stored["value"]}
        for stored in run.load_table("unit_values").to_dict("records")
        if stored["position"] == "mean" and stored["unit"] == ranking[1]["unit"]
    ]
    of_test = [row for row in found if row["split"] == "test"]
    return sorted(of_test, key=lambda row: row["value"])


def numbers(app: "AppTest") -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_units_are_ranked_and_scored_as_the_run_says(
    open_page: Callable[..., "AppTest"], ranking: list[dict[str, Any]]
) -> None:
    app = open_page("units", position="mean")
    assert app.dataframe[0].value["unit"].tolist() == [row["unit"] for row in ranking]
    assert app.selectbox(key="Units.unit").value == ranking[0]["unit"]
    assert numbers(app)["AUROC, train"] == f"{ranking[0]['auroc']:.3f}"
    assert "Run good, tiny, train, n = 6, 16 units" in app.caption[0].value.replace("\\", "")


def test_it_opens_where_the_best_unit_is(
    open_page: Callable[..., "AppTest"],
    monkeypatch: pytest.MonkeyPatch,
    runs_folder: Path,
    tmp_path: Path,
) -> None:
    from worldscope.runs import load_run

    run = load_run(shutil.copytree(runs_folder / "good", tmp_path / "good"))
    ranking = run.load_table("ranking")
    worse = ranking["accuracy"].where(ranking["position"] == "mean", 0.5)
    run.table("ranking", ranking.assign(accuracy=worse))
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path))
    assert open_page("units").selectbox(key="Units.position").value == "mean"


def test_scores_on_the_texts_shown_are_those_of_scikit_learn(
    open_page: Callable[..., "AppTest"], ranking: list[dict[str, Any]], tested: list[dict[str, Any]]
) -> None:
    app = open_page("units", position="mean", unit=ranking[1]["unit"])
    assert "from dev, n = 2" in app.caption[1].value
    app.segmented_control(key="Units.part").set_value("test").run()
    values, labels = [row["value"] for row in tested], [row["label"] for row in tested]
    predicted = [(value > ranking[1]["threshold"]) == (ranking[1]["sign"] > 0) for value in values]
    shown = numbers(app)
    assert shown["AUROC, test"] == f"{roc_auc_score(labels, values):.3f}"
    assert shown["Accuracy, test"] == f"{accuracy_score(labels, predicted):.3f}"
    assert "from test, n = 4" in app.caption[1].value


def test_another_unit_has_other_numbers(
    open_page: Callable[..., "AppTest"], ranking: list[dict[str, Any]]
) -> None:
    app = open_page("units", position="mean")
    app.selectbox(key="Units.unit").set_value(ranking[2]["unit"]).run()
    assert numbers(app)["Accuracy, train"] == f"{ranking[2]['accuracy']:.3f}"
    assert app.subheader[1].value == f"Unit {ranking[2]['unit']}"


def test_examples_are_the_texts_with_the_highest_and_the_lowest_values(
    open_page: Callable[..., "AppTest"], ranking: list[dict[str, Any]], tested: list[dict[str, Any]]
) -> None:
    app = open_page("units", position="mean", unit=ranking[1]["unit"], part="test")
    highest, lowest = (block.proto.body for block in app.get("html"))
    texts = [row["text"] for row in tested]
    assert all(text in lowest for text in texts[:2])
    assert all(text in highest for text in texts[2:])


def test_a_unit_without_stored_values_keeps_its_rank_and_says_why(
    open_page: Callable[..., "AppTest"], ranking: list[dict[str, Any]]
) -> None:
    app = open_page("units", position="mean", unit=ranking[-1]["unit"])
    assert "its best units only" in app.info[0].value
    assert len(app.dataframe[0].value) == 16
    assert not app.metric


def test_a_unit_is_carried_to_the_other_pages(
    open_page: Callable[..., "AppTest"], ranking: list[dict[str, Any]], network_folder: Path
) -> None:
    app = open_page("units", position="mean", unit=ranking[1]["unit"])
    links = [link.proto.query_string for link in app.get("page_link")]
    assert len(links) == 2
    assert all(f"unit={ranking[1]['unit']}" in link for link in links)
    app.switch_page("views/read.py").run()
    assert app.selectbox(key="Read.unit").value == ranking[1]["unit"]
    assert app.selectbox(key="Read.position").value == "mean"


def test_without_ranked_units_it_shows_the_command_that_makes_them(
    open_page: Callable[..., "AppTest"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path))
    app = open_page("units")
    assert app.code[0].value == "worldscope run sentiment_neuron --preset demo"
    assert not app.exception


def test_the_hook_that_the_run_read_first_is_shown_first(
    open_page: Callable[..., "AppTest"],
) -> None:
    app = open_page("units")
    hooks = app.selectbox(key="Units.hook")
    assert hooks.options == [HOOK, "lstm.0.hook_h"]
    assert hooks.value == HOOK

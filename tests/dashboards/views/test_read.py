"""The page Read."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from worldscope.activations.text import TextReading

HOOK = "lstm.0.hook_c"
TEXT = "Warm & <b>funny</b>."


@pytest.fixture
def seen(network_folder: Path) -> "TextReading":
    """What the library itself reads in the text."""
    from worldscope.activations.text import read_text
    from worldscope.networks.loading import load_network

    return read_text(load_network(network_folder), TEXT, [HOOK, "hook_o"])


def numbers(app: "AppTest") -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_it_opens_with_the_best_unit_of_the_newest_finished_run(
    open_page: Callable[..., "AppTest"],
) -> None:
    app = open_page("read")
    assert app.title[0].value == "Read"
    assert app.selectbox(key="Read.run").value == "good"
    best = app.selectbox(key="Read.unit")
    assert best.value == int(best.options[0].split(" ")[0])
    assert "rank 1 of 16" in app.markdown[0].value.replace("\\", "")
    assert "run good, tiny, train, n = 6" in app.markdown[0].value.replace("\\", "")
    assert set(numbers(app)) == {"Bits per byte", "Mean value", "Value after the last byte"}
    assert not app.error


@pytest.mark.parametrize("same", [True, False])
def test_ranks_that_a_run_gave_to_other_weights_come_with_a_warning(
    open_page: Callable[..., "AppTest"],
    monkeypatch: pytest.MonkeyPatch,
    network_folder: Path,
    same: bool,
) -> None:
    from dashboards import resources
    from worldscope.networks.loading import load_network

    digest = load_network(network_folder).digest if same else "0" * 16
    monkeypatch.setattr(resources, "run_digest", lambda run: digest)
    warnings = [warning.value for warning in open_page("read").warning]
    assert len(warnings) == (0 if same else 1)
    assert all("run the study again" in warning for warning in warnings)


def test_numbers_are_those_of_the_chosen_unit_and_follow_it(
    open_page: Callable[..., "AppTest"], seen: "TextReading"
) -> None:
    app = open_page("read", what="unit", hook=HOOK, unit=3, text=TEXT)
    acts = seen.acts[HOOK][1:]
    bits = float(seen.nats.sum()) / math.log(2) / len(acts)
    assert numbers(app) == {
        "Bits per byte": f"{bits:.3f}",
        "Mean value": f"{acts[:, 3].mean():+.3f}",
        "Value after the last byte": f"{acts[-1, 3]:+.3f}",
    }
    app.number_input(key="Read.unit number").set_value(9).run()
    assert numbers(app)["Mean value"] == f"{acts[:, 9].mean():+.3f}"
    app.selectbox(key="Read.hook").set_value("lstm.0.hook_o").run()
    other = seen.acts["lstm.0.hook_o"][1:, 9]
    assert numbers(app)["Mean value"] == f"{other.mean():+.3f}"


def test_every_hook_can_be_read(open_page: Callable[..., "AppTest"]) -> None:
    app = open_page("read", what="unit")
    hooks = app.selectbox(key="Read.hook")
    assert hooks.options == [f"lstm.0.hook_{gate}" for gate in "hcifoum"]
    assert hooks.value == HOOK


def test_a_feature_is_read_in_sd_towards_its_label(
    open_page: Callable[..., "AppTest"], seen: "TextReading", runs_folder: Path
) -> None:
    from worldscope.features.feature import load_feature

    feature = load_feature(runs_folder / "good" / "features" / "unit-5")
    app = open_page("read", what="feature", feature="unit-5", text=TEXT)
    values = -(seen.acts[HOOK][1:, 5].numpy() - feature.mean) / feature.sd
    assert numbers(app)["Mean value"] == f"{values.mean():+.3f}"


def test_text_and_labels_from_data_are_shown_as_they_are(
    open_page: Callable[..., "AppTest"],
) -> None:
    app = open_page("read", what="feature", feature="slope", text=TEXT)
    (block,) = app.get("html")
    assert "<b>" not in block.proto.body
    assert "<b>" not in app.markdown[0].value.replace("\\<b\\>", "")
    assert r"\*a\* \<b\>slope" in app.markdown[0].value


def test_an_example_replaces_the_text(open_page: Callable[..., "AppTest"]) -> None:
    app = open_page("read", text=TEXT)
    before = numbers(app)
    app.button(key="praise").click().run()
    assert "I loved this film." in str(app.text_area(key="Read.text").value)
    assert numbers(app) != before


def test_what_was_chosen_is_a_link(open_page: Callable[..., "AppTest"]) -> None:
    app = open_page("read", what="unit", unit=3, text=TEXT)
    app.number_input(key="Read.unit number").set_value(9).run()
    again = open_page("read", **app.query_params)
    assert app.query_params["unit"] == "9"
    assert numbers(again) == numbers(app)


@pytest.mark.parametrize(
    ("parameter", "value"), [("unit", "16"), ("unit", "x"), ("hook", "lstm.0.hook_q")]
)
def test_a_link_to_what_is_not_here_says_so_and_shows_the_default(
    parameter: str, value: str, open_page: Callable[..., "AppTest"]
) -> None:
    app = open_page("read", what="unit", **{parameter: value})
    (warning,) = app.warning
    assert warning.value.replace("\\", "") == (
        f"The link asks for {parameter} {value}, which is not here."
    )
    assert app.number_input(key="Read.unit number").value == 0
    assert app.metric


def test_a_link_cannot_open_another_folder(
    open_page: Callable[..., "AppTest"], tmp_path: Path
) -> None:
    app = open_page("read", network=tmp_path)
    assert "which is not here" in app.warning[0].value
    assert str(tmp_path) not in app.selectbox(key="Read.network").options


def test_an_empty_text_is_one_sentence(open_page: Callable[..., "AppTest"]) -> None:
    app = open_page("read")
    app.text_area(key="Read.text").set_value(" ").run()
    (error,) = app.error
    assert error.value.replace("\\", "") == (
        "the text is empty; give at least one visible character"
    )
    assert not app.exception


def test_a_network_that_is_gone_is_one_sentence(
    open_page: Callable[..., "AppTest"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = str(tmp_path / "gone")
    monkeypatch.setenv("WORLDSCOPE_NETWORKS", gone)
    app = open_page("read", network=gone)
    assert "holds no network" in app.error[0].value.replace("\\", "")
    assert not app.exception


def test_without_runs_the_shipped_networks_or_a_hint_remain(
    open_page: Callable[..., "AppTest"], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dashboards import resources

    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path))
    app = open_page("read")
    if resources.zoo():
        assert app.metric
    else:
        assert "WORLDSCOPE_NETWORKS" in app.info[0].value


def test_a_network_of_ones_own_is_offered(
    open_page: Callable[..., "AppTest"],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    network_folder: Path,
) -> None:
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path))
    monkeypatch.setenv("WORLDSCOPE_NETWORKS", str(network_folder))
    app = open_page("read", network=network_folder)
    assert app.selectbox(key="Read.network").value == str(network_folder)
    assert app.metric

"""The page Steer."""

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from worldscope.networks.mlstm import MLSTM

FEW = {"length": 25, "seed": 4, "temperature": 0.6, "prompt": "So <b>"}


@pytest.fixture
def network(network_folder: Path) -> "MLSTM":
    from worldscope.networks.loading import load_network

    return load_network(network_folder)


def texts(app: "AppTest") -> list[str]:
    """What the two columns show."""
    return [unescape(re.sub(r"<[^>]*>", "", block.proto.body)) for block in app.get("html")]


def generate(app: "AppTest") -> list[str]:
    app.button(key="generate").click().run()
    assert not app.error
    assert not app.exception
    return texts(app)


def test_both_texts_are_those_of_the_library(
    open_page: Callable[..., "AppTest"], network: "MLSTM", runs_folder: Path
) -> None:
    from worldscope.features.feature import load_feature
    from worldscope.steering.edits import Clamp, steer

    feature = load_feature(runs_folder / "good" / "features" / "unit-5")
    how = {"max_new": 25, "seeds": 4, "temperature": 0.6, "top_k": 30}
    (plain,) = network.generate("So <b>", **how)
    with steer(network, Clamp(feature, -4.5)):
        (steered,) = network.generate("So <b>", **how)
    app = open_page("steer", what="feature", feature="unit-5", strength=-4.5, top_k=30, **FEW)
    assert generate(app) == [str(plain), str(steered)]
    assert [heading.value for heading in app.subheader] == ["Unsteered", "Steered: clamp -4.5 sd"]


def test_strength_moves_the_steered_text_only(open_page: Callable[..., "AppTest"]) -> None:
    app = open_page("steer", what="feature", feature="slope", **FEW)
    plain, steered = generate(app)
    app.slider(key="Steer.strength").set_value(-6.0).run()
    assert texts(app) == [plain, steered]
    plain_again, steered_again = generate(app)
    assert plain_again == plain
    assert steered_again != steered


def test_an_address_that_lags_behind_the_slider_is_not_a_link(
    open_page: Callable[..., "AppTest"],
) -> None:
    app = open_page("steer", what="feature", strength=2.5)
    app.slider(key="Steer.strength").set_value(-3.0)
    app.query_params["strength"] = "3.0"
    app.run()
    assert app.slider(key="Steer.strength").value == -3.0
    assert app.query_params["strength"] == "-3.0"


def test_adding_nothing_changes_nothing(open_page: Callable[..., "AppTest"]) -> None:
    app = open_page("steer", what="feature", edit="add", strength=0.0, **FEW)
    plain, steered = generate(app)
    assert plain == steered


def test_a_unit_is_steered_by_its_sd_over_the_short_reviews(
    open_page: Callable[..., "AppTest"], network: "MLSTM", monkeypatch: pytest.MonkeyPatch
) -> None:
    from worldscope.features.feature import unit_feature
    from worldscope.features.statistics import measure_statistics
    from worldscope.steering.edits import Add, steer
    from worldscope.worlds import reviews

    few = ["The short reviews,", "but only two of them."]
    short = {"short": SimpleNamespace(inputs=few)}
    monkeypatch.setattr(reviews, "load_reviews", short.__getitem__)
    measured = measure_statistics(network, few, "hook_h")
    with steer(network, Add(unit_feature(network, measured, 11), 6.0)):
        (steered,) = network.generate("So <b>", max_new=25, seeds=4, temperature=0.6)
    app = open_page(
        "steer", what="unit", hook="lstm.0.hook_h", unit=11, edit="add", strength=6.0, **FEW
    )
    assert generate(app)[1] == str(steered)


def test_what_is_written_stays_with_what_it_was_made_with(
    open_page: Callable[..., "AppTest"],
) -> None:
    app = open_page("steer", what="feature", feature="unit-5", **FEW)
    before = generate(app)
    app.number_input(key="Steer.seed").set_value(5).run()
    assert texts(app) == before
    made_with = app.caption[-1].value.replace("\\", "")
    assert "positive (unit 5)" in made_with
    assert "temperature 0.6, length 25, seed 4" in made_with
    assert "25 tokens written" in made_with


def test_a_draft_that_was_stopped_is_shown_as_far_as_it_got(
    open_page: Callable[..., "AppTest"],
) -> None:
    from dashboards.components.drafts import Draft

    app = open_page("steer", **FEW)
    half = Draft("So ", "add +1.0 sd", "unit 1", unsteered=b"caf\xc3", steered=b"ok", pieces=4)
    app.session_state["draft"] = half
    app.run()
    assert texts(app) == ["So caf", "So ok"]
    assert "4 tokens written" in app.caption[-1].value


def test_no_network_is_loaded_before_a_text_is_wanted(
    open_page: Callable[..., "AppTest"], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboards import resources

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr(resources, "shared_network", refuse)
    app = open_page("steer", what="feature")
    assert app.button(key="generate").label == "Generate"
    assert not app.error


def test_a_feature_of_other_weights_is_one_sentence(
    open_page: Callable[..., "AppTest"],
    monkeypatch: pytest.MonkeyPatch,
    runs_folder: Path,
    tmp_path: Path,
) -> None:
    import shutil

    from worldscope.features.feature import load_feature

    run = shutil.copytree(runs_folder / "good", tmp_path / "runs" / "good")
    feature = load_feature(run / "features" / "unit-5")
    described = (run / "features" / "unit-5" / "feature.json").read_text()
    described = described.replace(feature.network, "0123456789abcdef")
    (run / "features" / "unit-5" / "feature.json").write_text(described)
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path / "runs"))
    app = open_page("steer", what="feature", feature="unit-5", **FEW)
    app.button(key="generate").click().run()
    assert "was found on network 0123456789abcdef" in app.error[0].value.replace("\\", "")
    assert not app.exception

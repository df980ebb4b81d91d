"""The study on a small untrained network: everything is written, and it does not claim a unit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.sentiment_neuron.config import PRESETS
from experiments.sentiment_neuron.study import run_study
from worldscope.runs import Run


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from worldscope.networks.loading import new_mlstm, save_network

    folder = tmp_path_factory.mktemp("study")
    save_network(new_mlstm(d_hidden=32, d_embed=8), folder / "network")
    save_network(new_mlstm(d_hidden=16, d_embed=8, seed=1), folder / "replica")
    config = replace(
        PRESETS["demo"],
        network=str(folder / "network"),
        replicas=(str(folder / "replica"),),
        limit=300,
        permutations=20,
        prompts=4,
        samples_per_prompt=2,
        generated_bytes=30,
        strengths=(-2.0, 2.0),
        placebos=3,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDSCOPE_RUNS", str(folder / "runs"))
        return run_study(config, name="tiny")


def test_what_cannot_be_studied_is_refused_before_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path / "runs"))
    with pytest.raises(FileNotFoundError, match="nobody holds no network"):
        run_study(replace(PRESETS["demo"], replicas=(str(tmp_path / "nobody"),)))
    with pytest.raises(ValueError, match="the .* part of short has .* texts, all of label"):
        run_study(replace(PRESETS["demo"], limit=4))
    assert not (tmp_path / "runs").exists()


def test_the_run_is_finished_and_has_its_tables(study: Run) -> None:
    assert study.finished
    wanted = {"ranking", "texts", "unit_values", "emergence", "judges"}
    wanted |= {"steering", "steering_placebos", "steering_verdict"}
    assert wanted <= set(study.saved("tables"))


def test_the_judges_say_how_long_the_texts_were_that_they_were_measured_on(study: Run) -> None:
    judges = study.load_table("judges")
    assert set(judges["characters"]) == {30}
    assert judges["mean_characters"].between(10, 30).all()


def test_every_method_stands_beside_its_baselines_at_every_site(study: Run) -> None:
    measured = study.measurements
    for _, rows in measured[measured["hook"] != ""].groupby(["data", "hook", "position"]):
        methods = set(rows["method"])
        assert {"best unit", "L1 probe", "1-sparse probe"} <= methods
        assert any("shuffled-label" in method for method in methods)
        assert {
            f"{kind}, random-init baseline, max of 3" for kind in ("best unit", "L1 probe")
        } <= methods
    assert (measured["method"].str.contains("raw-input")).any()


def test_a_run_names_the_weights_that_it_studied(study: Run) -> None:
    from worldscope.networks.loading import load_network

    assert study.config["digest"] == load_network(study.config["network"]).digest


def test_a_network_from_another_seed_is_read_in_the_same_way(study: Run) -> None:
    table = study.load_table("replicas")
    places = table.groupby(["network", "data", "hook", "position", "method"]).size()
    assert len(places) == len(table) == 4
    assert list(dict.fromkeys(table["network"])) == study.config["replicas"]
    assert np.all((table["low"] <= table["value"]) & (table["value"] <= table["high"]))
    assert set(table["n"]) == set(study.measurements.query("method == 'best unit'")["n"])
    assert "Does it happen again?" in study.report_path.read_text()


def test_an_untrained_network_is_not_said_to_have_a_sentiment_unit(study: Run) -> None:
    report = study.report_path.read_text()
    assert ": a sentiment unit." not in report


def test_values_belong_to_the_texts_that_they_name(study: Run) -> None:
    from worldscope.activations.reading import read_states
    from worldscope.networks.loading import load_network

    values = study.load_table("unit_values")
    texts = study.load_table("texts").set_index("row")
    network = load_network(Path(study.config["network"]))
    row = values.iloc[len(values) // 2]
    states = read_states(network, [texts.loc[row["row"], "text"]], [row["hook"]], [row["position"]])
    (acts,) = states.values()
    assert acts[0, int(row["unit"])] == pytest.approx(row["value"], abs=1e-5)


def test_the_parts_of_the_study_share_no_group(study: Run) -> None:
    texts = study.load_table("texts")
    dev, test = (set(texts.loc[texts["split"] == part, "group"]) for part in ("dev", "test"))
    assert dev and test and not dev & test


def test_the_features_of_a_run_load_and_fit_its_network(study: Run) -> None:
    from worldscope.features.feature import load_feature
    from worldscope.networks.loading import load_network

    network = load_network(Path(study.config["network"]))
    folders = sorted((study.path / "features").iterdir())
    assert len(folders) >= 12
    for folder in folders:
        load_feature(folder).check_fits(network)

"""What is kept, and when it is read again."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    import streamlit as st

    yield
    st.cache_data.clear()
    st.cache_resource.clear()


def test_a_table_is_read_again_when_its_file_has_changed(runs_folder: Path, tmp_path: Path) -> None:
    from dashboards import resources
    from worldscope.runs import load_run

    path = shutil.copytree(runs_folder / "good", tmp_path / "good")
    before = resources.run_table(path, "texts")
    assert resources.run_table(path, "texts") is before
    load_run(path).table("texts", pd.DataFrame({"row": [1]}))
    assert resources.run_table(path, "texts")["row"].tolist() == [1]


def test_a_network_is_loaded_once_until_its_weights_change(
    network_folder: Path, tmp_path: Path
) -> None:
    from dashboards import resources
    from worldscope.networks.loading import new_mlstm, save_network

    name = str(shutil.copytree(network_folder, tmp_path / "tiny"))
    first = resources.shared_network(name)
    assert resources.shared_network(name) is first
    save_network(new_mlstm(d_hidden=16, d_embed=8, seed=4), name)
    os.utime(Path(name) / "model.safetensors", (1, 1))
    second = resources.shared_network(name)
    assert second.network.digest != first.network.digest


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    from dashboards import resources

    with pytest.raises(FileNotFoundError, match="gone holds no network"):
        resources.shared_network(str(tmp_path / "gone"))


def test_runs_come_with_their_network_and_tables(
    runs_folder: Path, network_folder: Path, sees_runs: None
) -> None:
    from dashboards import resources

    runs = {run.name: run for run in resources.runs()}
    assert set(runs) == {"good", "failed", "broken"}
    assert resources.run_network(runs["good"]) == str(network_folder)
    assert resources.run_network(runs["broken"]) is None
    assert resources.run_digest(runs["failed"]) is None
    assert resources.run_digest(runs["broken"]) is None
    network = resources.shared_network(str(network_folder))
    assert resources.run_digest(runs["good"]) == network.digest
    assert resources.has_table(runs["good"].path, "ranking")
    assert not resources.has_table(runs["failed"].path, "ranking")

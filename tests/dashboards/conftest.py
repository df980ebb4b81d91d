"""A tiny network, runs of it, and pages that see nothing else."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

WIDTH = 16
HOOK = "lstm.0.hook_c"
POSITIONS = ("final", "mean")
STORED = 4
REVIEWS = (
    ("A lovely, warm and funny film.", 1),
    ("Dull from the first minute to the last.", 0),
    ("I laughed, I cried, I went again.", 1),
    ("What a waste of two hours.", 0),
    ("Superb acting and a tender story.", 1),
    ("The jokes fall flat & the plot <b>drags</b>.", 0),
    ("Not a bad word to say about it.", 1),
    ("I wanted my money back.", 0),
    ("Every scene is a small delight.", 1),
    ("Loud, long and lifeless.", 0),
    ("A film to treasure.", 1),
    ("Nobody seemed to care, and neither did I.", 0),
)
PARTS = {"train": range(6), "dev": range(6, 8), "test": range(8, 12)}


@pytest.fixture(scope="session")
def network_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random network."""
    from worldscope.networks.loading import new_mlstm, save_network

    folder = tmp_path_factory.mktemp("networks") / "tiny"
    save_network(new_mlstm(d_hidden=WIDTH, d_embed=8, seed=3), folder)
    return folder


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory, network_folder: Path) -> Path:
    """Three runs: `good` with everything that a study leaves, `failed`, and `broken`."""
    from worldscope.networks.loading import load_network
    from worldscope.runs import start_run

    root = tmp_path_factory.mktemp("runs")
    config = {"network": str(network_folder)}
    digest = load_network(network_folder).digest
    with pytest.raises(ValueError), start_run("tiny", config, 1, root=root, name="failed"):
        raise ValueError("text 3 is empty")
    with start_run("tiny", config | {"digest": digest}, 0, root=root, name="good") as run:
        fill(run, network_folder)
    (root / "broken").mkdir()
    (root / "broken" / "config.json").write_text("{")
    return root


def fill(run: Any, network_folder: Path) -> None:
    """Puts the tables, features, figures and report of a small study into a run."""
    from probes.ranking import rank_units
    from worldscope.activations.reading import read_states
    from worldscope.features.feature import direction_feature, unit_feature
    from worldscope.features.statistics import measure_statistics
    from worldscope.figures import ranking_scatter
    from worldscope.measures import Measurement
    from worldscope.networks.loading import load_network
    from worldscope.report import Report

    network = load_network(network_folder)
    texts = [text for text, _ in REVIEWS]
    labels = np.array([label for _, label in REVIEWS])
    rankings, values = [], []
    for (hook, position), acts in read_states(network, texts, [HOOK]).items():
        place = {"data": "tiny", "hook": hook, "position": position}
        train = list(PARTS["train"])
        ranking = rank_units(acts[train], labels[train]).table(WIDTH)
        rankings.append(ranking.assign(**place, n=len(train)))
        rows = np.array([*PARTS["dev"], *PARTS["test"]])
        for unit in ranking["unit"][:STORED]:
            stored = {"unit": unit, "row": rows, "value": acts[rows, unit]}
            values.append(pd.DataFrame({**place, **stored}))
        run.add(
            Measurement(
                question="decodable?",
                data="tiny",
                split=split,
                hook=hook,
                position=position,
                method="best unit",
                metric="accuracy",
                value=value,
                n=len(PARTS[split]),
            )
            for split, value in (("train", 1.0), ("test", 0.75))
        )
    other = rankings[0].assign(hook="lstm.0.hook_h", accuracy=1.0)  # read last, and looks better
    run.table("ranking", pd.concat([*rankings, other], ignore_index=True))
    run.table("unit_values", pd.concat(values, ignore_index=True))
    run.table(
        "texts",
        pd.DataFrame(
            [
                {
                    "row": row,
                    "data": "tiny",
                    "split": part,
                    "label": labels[row],
                    "group": f"film {row}",
                    "text": texts[row],
                }
                for part in ("dev", "test")
                for row in PARTS[part]
            ]
        ),
    )
    measured = measure_statistics(network, texts, HOOK)
    unit_feature(network, measured, 5, sign=-1, label="positive").save(
        run.path / "features" / "unit-5"
    )
    slope = np.linspace(-1, 1, WIDTH)
    direction_feature(network, measured, slope, label="*a* <b>slope</b>", origin="made up").save(
        run.path / "features" / "slope"
    )
    figure = ranking_scatter(rankings[0])
    run.figure("ranking", figure)
    Report("A tiny study").section("Ranking").figure(figure).write(run.report_path)


@pytest.fixture
def sees_runs(runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dashboard sees the three runs and the network that they name."""
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(runs_folder))
    monkeypatch.delenv("WORLDSCOPE_NETWORKS", raising=False)


@pytest.fixture
def open_page(sees_runs: None, repository: Path) -> Iterator[Callable[..., "AppTest"]]:
    """Opens a page by its name, as a link with these parameters would."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    def open_page(name: str, **parameters: object) -> AppTest:
        app = AppTest.from_file(repository / "dashboards" / "app.py", default_timeout=30)
        app.switch_page(f"views/{name}.py")
        for parameter, value in parameters.items():
            app.query_params[parameter] = str(value)
        app.run()
        assert not app.exception
        return app

    yield open_page
    st.cache_data.clear()
    st.cache_resource.clear()

"""What is loaded once and kept: networks, what was measured of them, and the tables of runs.

The only module that caches. Networks, statistics and tables are one object for all visitors, who do
not change them; a network is loaded again when its weights on disk have changed, a table when its
file has.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from worldscope.runs import RunEntry, list_runs, load_run, runs_root

if TYPE_CHECKING:
    from dashboards.shared import Reading, SharedNetwork
    from worldscope.features.statistics import Statistics


@st.cache_data(show_spinner="Starting PyTorch …")
def zoo() -> list[str]:
    """The names of the shipped networks, as `load_network` takes them."""
    from worldscope.networks.loading import zoo_names

    return [f"zoo:{name}" for name in zoo_names()]


def shared_network(name: str) -> "SharedNetwork":
    """The network of that name, loaded if it is not yet.

    Raises:
        LookupError: If the zoo has no such network.
        FileNotFoundError: If the folder holds no network.
        ValueError: If its weights are damaged.
    """
    return _shared_network(name, _revision(name))


def reading(name: str, text: str, hook: str) -> "Reading":
    """A text as a network reads it; see `SharedNetwork.read`."""
    return _reading(name, _revision(name), text, hook)


def statistics(name: str, hook: str) -> "Statistics":
    """Mean and covariance of a hook over the short reviews that are shipped."""
    return _statistics(name, _revision(name), hook)


def runs() -> list[RunEntry]:
    """Every run, newest first, broken ones too; at most some seconds old."""
    return _runs(runs_root())


def run_network(run: RunEntry) -> str | None:
    """The name of the network that a run studied, if its configuration names one."""
    return _config(run).get("network")


def run_digest(run: RunEntry) -> str | None:
    """The digest of the weights that a run studied, if its configuration names it."""
    return _config(run).get("digest")


def run_table(path: Path, name: str) -> pd.DataFrame:
    """A table of a run.

    Raises:
        LookupError: If the run has none of that name.
    """
    return _run_table(path, name, _changed(path / "tables" / f"{name}.parquet"))


def run_measurements(path: Path) -> pd.DataFrame:
    """All measurements of a run so far."""
    return _run_measurements(path, _changed(path / "measurements.parquet"))


def has_table(path: Path, name: str) -> bool:
    """Whether a run has a table of that name."""
    return (path / "tables" / f"{name}.parquet").is_file()


@st.cache_resource(max_entries=4, show_spinner="Loading the network …")
def _shared_network(name: str, revision: int) -> "SharedNetwork":
    from dashboards.shared import SharedNetwork
    from worldscope.networks.loading import load_network

    return SharedNetwork(load_network(name))


@st.cache_data(max_entries=16, show_spinner="Reading the text …")
def _reading(name: str, revision: int, text: str, hook: str) -> "Reading":
    return shared_network(name).read(text, hook)


@st.cache_resource(
    max_entries=16, show_spinner="Measuring the mean and sd of every unit, once for this hook …"
)
def _statistics(name: str, revision: int, hook: str) -> "Statistics":
    from worldscope.worlds.reviews import load_reviews

    return shared_network(name).statistics(load_reviews("short").inputs, hook)


@st.cache_data(ttl=5, max_entries=16, show_spinner=False)
def _runs(root: Path) -> list[RunEntry]:
    return list_runs(root)


def _config(run: RunEntry) -> dict[str, Any]:
    return {} if run.state == "broken" else _run_config(run.path)


@st.cache_data(ttl=60, max_entries=1024, show_spinner=False)
def _run_config(path: Path) -> dict[str, Any]:
    return load_run(path).config


@st.cache_resource(max_entries=32, show_spinner=False)
def _run_table(path: Path, name: str, changed: int) -> pd.DataFrame:
    return load_run(path).load_table(name)


@st.cache_resource(max_entries=32, show_spinner=False)
def _run_measurements(path: Path, changed: int) -> pd.DataFrame:
    return load_run(path).measurements


def _revision(name: str) -> int:
    """What tells the weights of now from earlier ones; those of the zoo do not change."""
    return 0 if name.startswith("zoo:") else _changed(Path(name) / "model.safetensors")


def _changed(path: Path) -> int:
    """When a file last changed, in nanoseconds; 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0

"""Choosing a network: named by a run, shipped, or in a folder of one's own.

Folders written by `worldscope train` or `save_network` are offered when the environment variable
WORLDSCOPE_NETWORKS names them, joined as in PATH. An address can only choose what is offered.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import streamlit as st

from dashboards import resources
from dashboards.components.choices import pick

VARIABLE = "WORLDSCOPE_NETWORKS"


def network_names(
    named_by_runs: Iterable[str | None], shipped: Iterable[str], folders: str
) -> list[str]:
    """The networks of runs, newest run first, then the shipped ones, then folders; each once.

    Args:
        named_by_runs: Name of each run's network, None where it has none.
        shipped: Names of the networks of the zoo.
        folders: The value of WORLDSCOPE_NETWORKS.
    """
    own = [folder for folder in folders.split(os.pathsep) if folder]
    return list(dict.fromkeys([*filter(None, named_by_runs), *shipped, *own]))


def network_picker() -> str | None:
    """The name of a network; says what to do and returns None if there is none."""
    named = [resources.run_network(run) for run in resources.runs() if run.state != "failed"]
    names = network_names(named, resources.zoo(), os.environ.get(VARIABLE, ""))
    if not names:
        st.info(f"There is no network yet: train one, and name its folder in {VARIABLE}.")
        return None
    return pick("Network", names, name="network", show=short_name)


def short_name(network: str) -> str:
    """A network's name as the page shows it: of a folder, its last two parts."""
    return network if network.startswith("zoo:") else "/".join(Path(network).parts[-2:])

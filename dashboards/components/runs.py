"""Choosing a run, and what to do when there is none."""

import streamlit as st

from dashboards import resources
from dashboards.components.choices import pick
from worldscope.runs import RunEntry, runs_root

COMMAND = "worldscope run sentiment_neuron --preset demo"


def run_picker(runs: list[RunEntry]) -> RunEntry:
    """One of some runs, the newest finished one unless told otherwise."""
    names = {run.name: run for run in runs}
    finished = [run.name for run in runs if run.state == "finished"]
    return names[pick("Run", list(names), name="run", default=(finished or list(names))[0])]


def runs_with_table(name: str, *, network: str | None = None) -> list[RunEntry]:
    """The whole runs that have a table, of one network if told, newest first."""
    return [
        run
        for run in resources.runs()
        if run.state != "broken"
        and (network is None or resources.run_network(run) == network)
        and resources.has_table(run.path, name)
    ]


def no_runs(what: str) -> None:
    """Says that there is nothing yet, and the command that makes it."""
    st.info(f"There is no {what} in {runs_root()} yet. This command makes one:")
    st.code(COMMAND, language="sh")

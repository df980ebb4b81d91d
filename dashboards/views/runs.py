"""Runs: what was computed, and everything that came out of one run."""

import pandas as pd
import streamlit as st

from dashboards import resources
from dashboards.components.choices import choose, pick, remember, switch
from dashboards.components.figures import show
from dashboards.components.networks import short_name
from dashboards.components.page import page
from dashboards.components.runs import no_runs, run_picker
from dashboards.components.texts import apart
from dashboards.components.words import verbatim
from dashboards.tables import matching, told_once
from worldscope.runs import Run, RunEntry, load_run, runs_root


def list_all(runs: list[RunEntry]) -> None:
    """Every run, newest first; a click on a row chooses its run."""

    def choose_row() -> None:
        rows = st.session_state["list"]["selection"]["rows"]
        if rows:
            choose("run", runs[rows[0]].name)

    lines = [
        {
            "run": run.name,
            "state": run.state,
            "started (UTC)": run.started,
            "network": short_name(resources.run_network(run) or ""),
            "what is wrong": run.problem or "",
        }
        for run in runs
    ]
    st.dataframe(
        pd.DataFrame(lines),
        key="list",
        on_select=choose_row,
        selection_mode="single-row",
        hide_index=True,
        column_config={"started (UTC)": st.column_config.DatetimeColumn(format="D MMM YYYY HH:mm")},
    )
    st.caption(f"n = {len(runs)} in {verbatim(runs_root())}. A click on a row chooses its run.")


def show_measurements(run: Run) -> None:
    """The table of measurements, and the rows of it that hold some words."""
    table = resources.run_measurements(run.path)
    if table.empty:
        st.info(f"Run {verbatim(run.name)} has no measurements yet.")
        return
    key = remember("words", "", parse=str)
    words = st.text_input("Rows that hold these words", key=key, placeholder="test accuracy")
    found = matching(table, words)
    common, differing = told_once(found)
    number = st.column_config.NumberColumn(format="%.4g")
    st.dataframe(
        differing,
        key="measurements",
        placeholder="–",
        hide_index=True,
        column_config={name: number for name in ("value", "low", "high")},
    )
    told = [f"{len(found)} of {len(table)} measurements of run {run.name}"]
    told += [f"{name}: {value}" for name, value in common.items()]
    st.caption(verbatim(" · ".join(told)))


def show_figures(run: Run) -> None:
    """One of the run's figures."""
    names = run.saved("figures")
    if not names:
        st.info(f"Run {verbatim(run.name)} has no figures yet.")
        return
    name = pick("Figure", names, name="figure")
    show(run.load_figure(name))
    st.caption(f"Figure {verbatim(name)} of run {verbatim(run.name)}.")


def show_report(run: Run) -> None:
    """The report, to read here or to keep."""
    if not run.report_path.is_file():
        st.info(f"Run {verbatim(run.name)} has no report yet.")
        return
    report = run.report_path.read_text("utf-8")
    st.download_button(
        "Download report.html", report, f"{run.name}.html", "text/html", on_click="ignore"
    )
    st.iframe(apart(report), height=900)


def show_settings(run: Run) -> None:
    """What was asked, and where it was computed."""
    left, right = st.columns(2, gap="large")
    left.subheader("Configuration")
    left.caption(f"Study {verbatim(run.study)}, seed {run.seed}")
    left.json(run.config)
    right.subheader("Environment")
    right.json(run.environment)


SECTIONS = {
    "Measurements": show_measurements,
    "Figures": show_figures,
    "Report": show_report,
    "Settings": show_settings,
}


def draw(entry: RunEntry) -> None:
    """One run: what is wrong with it, if anything, and a section of what came out."""
    st.subheader(entry.name)
    if entry.problem:
        went = "is broken" if entry.state == "broken" else entry.state
        st.error(verbatim(f"Run {entry.name} {went}: {entry.problem}"))
    if entry.state == "broken":
        return
    section = switch("Section", list(SECTIONS), name="section")
    SECTIONS[section](load_run(entry.path))


with page("Runs"):
    runs = resources.runs()
    if not runs:
        no_runs("run")
    else:
        list_all(runs)
        with st.sidebar:
            run = run_picker(runs)
        draw(run)

"""Units: how a run ranked them, and how one of them tells two classes apart."""

import math

import pandas as pd
import streamlit as st

from dashboards import resources
from dashboards.components.choices import choose, switch
from dashboards.components.figures import show
from dashboards.components.page import page
from dashboards.components.runs import no_runs, run_picker, runs_with_table
from dashboards.components.targets import place_picker, ranked_unit_picker
from dashboards.components.texts import examples
from dashboards.components.words import verbatim
from dashboards.tables import Place, RankedUnit, extremes, ranked_on, ranked_units, unit_on_texts
from worldscope.figures import unit_histograms
from worldscope.measures import auroc
from worldscope.runs import RunEntry

LABELS = ("negative", "positive")
EXTREMES = 8


def choose_from_table(units: pd.DataFrame, where: str) -> None:
    """All ranked units; a click on a row chooses its unit."""

    def choose_row() -> None:
        rows = st.session_state["ranking"]["selection"]["rows"]
        if rows:
            choose("unit", int(units["unit"].iloc[rows[0]]))

    st.subheader("Ranking")
    number = st.column_config.NumberColumn(format="%.3f", width="small")
    st.dataframe(
        units,
        key="ranking",
        on_select=choose_row,
        selection_mode="single-row",
        hide_index=True,
        height=420,
        column_config={
            **{name: number for name in ("auroc", "accuracy", "threshold")},
            **{name: st.column_config.NumberColumn(width=50) for name in ("rank", "unit", "sign")},
        },
    )
    st.caption(f"{verbatim(where)}, {len(units)} units. A click on a row chooses its unit.")


def draw_unit(values: pd.DataFrame, unit: RankedUnit, hook: str, part: str) -> None:
    """The unit's scores, and its values on both classes."""
    numbers, labels = values["value"].to_numpy(), values["label"].to_numpy()
    right = (numbers > unit.threshold) == (labels == (unit.sign > 0))
    st.subheader(f"Unit {unit.unit}")
    scores = {
        "AUROC, train": unit.auroc,
        "Accuracy, train": unit.accuracy,
        f"AUROC, {part}": auroc(numbers, labels),
        f"Accuracy, {part}": right.mean(),
    }
    with st.container(horizontal=True):
        for label, score in scores.items():
            st.metric(label, f"{score:.3f}", width="content")
    title = f"unit {unit.unit} of {hook} (activation)"
    threshold = unit.threshold if math.isfinite(unit.threshold) else None
    show(unit_histograms(numbers, labels, unit_name=title, threshold=threshold))


def draw_examples(values: pd.DataFrame) -> None:
    """The texts with the highest and with the lowest values."""
    highest, lowest = extremes(values, EXTREMES)
    left, right = st.columns(2, gap="large")
    left.subheader("Highest values")
    left.html(examples(highest, LABELS))
    right.subheader("Lowest values")
    right.html(examples(lowest, LABELS))


def link_onwards(run: RunEntry, place: Place, unit: int) -> None:
    """The same unit on the pages that run the network."""
    network = resources.run_network(run)
    if network is None:
        return
    chosen = {"network": network, "what": "ranked", "run": run.name, "data": place.data}
    chosen |= {"hook": place.hook, "position": place.position, "unit": str(unit)}
    with st.container(horizontal=True):
        for view, label, icon in (
            ("views/read.py", f"Read a text with unit {unit}", ":material/text_fields:"),
            ("views/steer.py", f"Steer with unit {unit}", ":material/tune:"),
        ):
            st.page_link(view, label=label, icon=icon, query_params=chosen)


def draw(run: RunEntry) -> None:
    """The ranking on the left, the chosen unit on the right, its examples below."""
    ranking = resources.run_table(run.path, "ranking")
    texts = resources.run_table(run.path, "texts")
    with st.sidebar:
        place = place_picker(ranking)
        units = ranked_units(ranking, place)
        unit = ranked_unit_picker(units)
        part = switch("Texts", list(dict.fromkeys(texts["split"])), name="part")
    shown = texts.loc[texts["split"] == part]
    values = unit_on_texts(resources.run_table(run.path, "unit_values"), shown, place, unit.unit)
    left, right = st.columns([6, 7], gap="medium")
    with left:
        choose_from_table(units, f"Run {run.name}, {place.data}, {ranked_on(ranking, place)}")
    if values.empty:
        right.info("The run stored the values of its best units only; choose one of the first.")
        return
    with right:
        draw_unit(values, unit, place.hook, part)
        st.caption(
            f"Run {verbatim(run.name)}, {verbatim(place.data)}. Threshold from train; texts from "
            f"{part}, n = {len(values)}."
        )
        link_onwards(run, place, unit.unit)
    draw_examples(values)


with page("Units"):
    ranked = runs_with_table("ranking")
    if not ranked:
        no_runs("run with ranked units")
    else:
        with st.sidebar:
            run = run_picker(ranked)
        draw(run)

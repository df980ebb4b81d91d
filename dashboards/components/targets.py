"""Choosing what is looked at or moved: a unit by its number or rank, or a direction of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st
from jaxtyping import Float

from dashboards import resources
from dashboards.components.choices import pick, remember, switch
from dashboards.components.runs import run_picker, runs_with_table
from dashboards.components.words import verbatim
from dashboards.tables import Place, RankedUnit, ranked_on, ranked_unit, ranked_units
from worldscope.runs import RunEntry

if TYPE_CHECKING:
    from worldscope.features.feature import Feature

_WAYS = {"ranked": "Ranked", "feature": "Feature", "unit": "Any unit"}


@dataclass(frozen=True)
class UnitTarget:
    """A unit at a hook."""

    hook: str
    unit: int
    sign: int
    """+1 if larger values mean the label."""
    source: str
    """What is known of it: its scores, and their run, split and n."""

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return f"unit {self.unit}"

    @property
    def scale(self) -> str:
        """In what its values are."""
        return "activation"

    def values(self, acts: Float[np.ndarray, "time d"]) -> Float[np.ndarray, " time"]:
        """The raw activation of the unit."""
        return acts[:, self.unit]

    @property
    def sd_from(self) -> str:
        """Over which text its sd is measured."""
        return "sd over the short reviews"

    def as_feature(self, network: str) -> "Feature":
        """The unit with its mean and sd over the short reviews that are shipped."""
        from worldscope.features.feature import unit_feature

        shared = resources.shared_network(network).network
        measured = resources.statistics(network, self.hook)
        return unit_feature(shared, measured, self.unit, sign=self.sign, label=self.name)


@dataclass(frozen=True)
class FeatureTarget:
    """A feature that a run saved."""

    feature: "Feature"
    source: str
    """Which run saved it."""

    @property
    def hook(self) -> str:
        """Where it is read and written."""
        return self.feature.hook

    @property
    def name(self) -> str:
        """What it is called on the page."""
        return feature_name(self.feature)

    @property
    def scale(self) -> str:
        """In what its values are."""
        return "sd towards its label"

    def values(self, acts: Float[np.ndarray, "time d"]) -> Float[np.ndarray, " time"]:
        """Standard deviations from the mean over training text, positive towards the label."""
        return self.feature.sign * (self.feature.values(acts) - self.feature.mean) / self.feature.sd

    @property
    def sd_from(self) -> str:
        """Over which text its sd is measured."""
        return f"sd {self.source}"

    def as_feature(self, network: str) -> "Feature":
        """The feature, which belongs to the network `network`."""
        self.feature.check_fits(resources.shared_network(network).network)
        return self.feature


Target = UnitTarget | FeatureTarget


def target_picker(network: str, *, first: str) -> Target:
    """A unit or feature of a network.

    Args:
        network: Its name.
        first: Which way of choosing comes first, if the network's runs offer it: `ranked`,
            `feature`, or `unit`.
    """
    runs = {
        "ranked": runs_with_table("ranking", network=network),
        "feature": runs_with_features(network),
    }
    ways = [way for way in _WAYS if way == "unit" or runs[way]]
    default = first if first in ways else ways[0]
    way = switch("What to look at", ways, name="what", default=default, show=_WAYS.__getitem__)
    if way == "ranked":
        return _ranked(run_picker(runs["ranked"]), network)
    if way == "feature":
        return _saved(run_picker(runs["feature"]))
    return _any_unit(network)


def runs_with_features(network: str) -> list[RunEntry]:
    """The whole runs of a network that saved features, newest first."""
    return [
        run
        for run in resources.runs()
        if resources.run_network(run) == network and feature_names(run.path)
    ]


def feature_names(run: Path) -> list[str]:
    """The names of a run's saved features, sorted."""
    return sorted(file.parent.name for file in (run / "features").glob("*/feature.json"))


def feature_name(feature: "Feature") -> str:
    """A feature's label and how it was found."""
    return f"{feature.label} ({feature.origin})" if feature.label else feature.origin


def place_picker(ranking: pd.DataFrame) -> Place:
    """One of the data sets, hooks and positions at which a run ranked units.

    At first the hook that the run read first, by which it decides, and there the place of the unit
    with the highest accuracy.
    """
    data = _pick_among("Data", "data", ranking)
    of_data = ranking.loc[ranking["data"] == data]
    hooks = list(dict.fromkeys(of_data["hook"]))
    hook = pick("Hook", hooks, name="hook", default=hooks[0])
    at_hook = of_data.loc[of_data["hook"] == hook]
    return Place(data, hook, _pick_among("Position", "position", at_hook))


def ranked_unit_picker(units: pd.DataFrame) -> RankedUnit:
    """One of some ranked units, the best unless told otherwise."""
    aurocs = dict(zip(units["unit"].tolist(), units["auroc"].tolist(), strict=True))

    def show(unit: int) -> str:
        return f"{unit} · AUROC {aurocs[unit]:.3f}"

    return ranked_unit(units, pick("Unit", list(aurocs), name="unit", parse=int, show=show))


def _pick_among(label: str, column: str, rows: pd.DataFrame) -> str:
    best = rows["accuracy"].to_numpy().argmax()
    names = rows[column].tolist()
    return pick(label, list(dict.fromkeys(names)), name=column, default=names[best])


def _ranked(run: RunEntry, network: str) -> UnitTarget:
    if resources.run_digest(run) not in (None, resources.shared_network(network).digest):
        st.warning(
            f"Run {verbatim(run.name)} ranked the units of other weights than "
            f"{verbatim(network)} has now: run the study again."
        )
    ranking = resources.run_table(run.path, "ranking")
    place = place_picker(ranking)
    units = ranked_units(ranking, place)
    best = ranked_unit_picker(units)
    source = (
        f"rank {best.rank} of {len(units)} by its {place.position} state, AUROC {best.auroc:.3f}, "
        f"accuracy {best.accuracy:.3f} (run {run.name}, {place.data}, {ranked_on(ranking, place)})"
    )
    return UnitTarget(place.hook, best.unit, best.sign, source)


def _saved(run: RunEntry) -> FeatureTarget:
    from worldscope.features.feature import load_feature

    features = {
        name: load_feature(run.path / "features" / name) for name in feature_names(run.path)
    }
    name = pick(
        "Feature",
        list(features),
        name="feature",
        show=lambda name: feature_name(features[name]),
    )
    return FeatureTarget(features[name], f"saved by run {run.name}")


def _any_unit(network: str) -> UnitTarget:
    widths = resources.shared_network(network).widths()
    hook = pick("Hook", list(widths), name="hook", default=_cell(widths))
    key = remember("unit", 0, parse=int, allowed=range(widths[hook]), widget="unit number")
    last = widths[hook] - 1
    unit = st.number_input(f"Unit (0 to {last})", 0, last, step=1, key=key)
    return UnitTarget(hook, int(unit), 1, "chosen by number")


def _cell(names: dict[str, int]) -> str:
    """The cell state, which the sentiment neuron's paper reads, or else the first hook."""
    return next((name for name in names if name.endswith("hook_c")), next(iter(names)))

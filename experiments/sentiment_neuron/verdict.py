"""What the numbers allow one to say. The rules were fixed before any network was looked at."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from evidence.placebos import EQUAL_NORM
from experiments.sentiment_neuron.decoding import Decoded
from worldscope.measures import Interval, benjamini_hochberg

SHARE_OF_PROBE = 0.8
"""A unit that is the sentiment unit has this share of the L1 probe's accuracy above chance."""
ALPHA = 0.05


def site_to_steer(decoded: Sequence[Decoded]) -> Decoded:
    """On the first data set and hook, the position whose best unit does best on dev."""
    first = decoded[0].site
    candidates = [
        found
        for found in decoded
        if found.site.texts is first.texts and found.site.hook == first.hook
    ]
    return max(candidates, key=_dev_accuracy)


def _dev_accuracy(found: Decoded) -> float:
    acts, labels = found.site.of("dev")
    return float(np.mean(found.ranking.predict(acts[:, found.unit], found.unit) == labels))


def verdict_on(found: Decoded, measured: pd.DataFrame) -> str:
    """Whether one unit carries the sentiment, or many do, or none; in words."""
    site, unit, probe = found.site, found.unit_accuracy, found.probe_accuracy
    of_text = measured.query("data == @site.texts.name")
    here = of_text.query("hook == @site.hook and position == @site.position")
    untrained = _largest(here, "best unit, random-init")
    said = (
        f"{site.texts.name}, {site.hook}, {site.position}: unit {found.unit} reads "
        f"{_points(unit)} of {unit.n} test texts, the L1 probe {_points(probe)}; in untrained "
        f"networks the best unit reads {untrained:.1%} and the probe "
        f"{_largest(here, 'L1 probe, random-init'):.1%}, and n-grams of the text itself "
        f"{_largest(of_text, '', 'n-grams, raw-input baseline'):.1%}. "
    )
    test_labels = site.of("test")[1]
    chance = max(np.mean(test_labels), 1 - np.mean(test_labels))
    stands_out = found.p_value <= ALPHA and unit.low > untrained
    if probe.low <= chance and stands_out and unit.low > chance:
        return said + (
            "The unit stands out from shuffled labels and untrained networks, but the probe's "
            "interval reaches chance, so that it cannot say what share of the sentiment this is."
        )
    if probe.low <= chance:
        return said + "Neither reads sentiment here: the probe's interval reaches chance."
    if not stands_out:
        return said + "No single unit stands out from shuffled labels and untrained networks."
    spread = "no unit" if found.participation is None else f"{found.participation:.1f} units"
    share = (unit.value - chance) / max(probe.value - chance, 1e-9)
    if share < SHARE_OF_PROBE:
        return said + (
            f"The unit knows something, but only {share:.0%} of what the probe reads above chance, "
            f"which is spread over {spread}: not a sentiment unit."
        )
    return said + f"It has {share:.0%} of what the probe reads above chance: a sentiment unit."


def verdicts_on_steering(verdicts: pd.DataFrame, judges: pd.DataFrame) -> Iterator[str]:
    """What steering did to the writing, in words: a sentence for each feature and judge.

    The first judge that can be told from chance on real text decides; its p-values are corrected
    for the number of features. Every other judge is a second opinion.

    Args:
        verdicts: A row for each feature, judge and kind: the fields of `evidence.verdict.Verdict`.
        judges: What each judge is worth on real text: judge, value, low, high.
    """
    able = judges.loc[judges["low"] > 0.5, "judge"]
    deciding = None if able.empty else able.iloc[0]
    placebos = _corrected(verdicts.loc[verdicts["kind"] == EQUAL_NORM])
    worth = {judge["judge"]: judge for judge in judges.to_dict("records")}
    for row in verdicts.query("kind == 'feature'").to_dict("records"):
        judge, feature = row["judge"], row["feature"]
        beside = placebos[judge, feature]
        if np.isnan(row["down"]) and np.isnan(row["up"]):
            yield f"Steering {feature}: every strength costs more than the budget."
        elif judge == deciding:
            yield _moved(row, beside) + _conclusion(row, beside["corrected"])
        elif judge in set(able):
            yield _moved(row, beside) + f"This is a second opinion: the {deciding} decides."
        else:
            yield _moved(row, beside) + _unable(worth[judge])


def _corrected(placebos: pd.DataFrame) -> dict[tuple[str, str], dict]:
    """By judge and feature: the placebos' verdict, its p-value corrected for the features."""
    found = {}
    for judge, rows in placebos.groupby("judge"):
        adjusted = benjamini_hochberg(rows["p_value"].to_numpy(), q=ALPHA).adjusted
        for row in rows.assign(corrected=adjusted, features=len(rows)).to_dict("records"):
            found[judge, row["feature"]] = row
    return found


def _moved(row: dict, placebos: dict) -> str:
    ends = [0.0 if np.isnan(end) else end for end in (row["down"], row["up"])]
    said = (
        f"Steering {row['feature']} from {ends[0]:+g} to {ends[1]:+g} sd moves the share that the "
        f"{row['judge']} calls positive by {100 * row['moved']:.1f} points "
        f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]. "
    )
    corrected = ""
    if placebos["features"] > 1:
        corrected = f", {placebos['corrected']:.2f} corrected for {placebos['features']} features"
    return said + (
        f"{placebos['placebos']:g} placebos of equal norm move it by {100 * placebos['moved']:.1f} "
        f"on average, at most {100 * placebos['largest']:.1f} "
        f"(p = {placebos['p_value']:.2f}{corrected}). "
    )


def _conclusion(row: dict, p_value: float) -> str:
    if p_value <= ALPHA and row["low"] > 0:
        return "The feature moves what is written towards its label."
    if p_value <= ALPHA and row["high"] < 0:
        return "The feature moves what is written away from its label."
    return "No effect beyond that of the placebos is shown."


def _unable(judge: dict) -> str:
    return (
        f"But this judge cannot be told from chance on real text ({judge['value']:.1%} "
        f"[{judge['low']:.1%}, {judge['high']:.1%}]), so that its shares say nothing."
    )


def _largest(measured: pd.DataFrame, start: str, end: str = "") -> float:
    """The largest value of the methods with such a name; NaN if there is none."""
    methods = measured["method"].str
    return float(measured.loc[methods.startswith(start) & methods.endswith(end), "value"].max())


def _points(score: Interval) -> str:
    return f"{score.value:.1%} [{score.low:.1%}, {score.high:.1%}]"

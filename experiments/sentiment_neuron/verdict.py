"""What the numbers allow one to say. The rules were fixed before any network was looked at."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.sentiment_neuron.decoding import Decoded

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
    site = found.site
    here = measured.query("data == @site.texts.name and hook == @site.hook")
    here = here.query("position == @site.position")
    untrained = max(
        row["value"]
        for row in here.to_dict("records")
        if row["method"].startswith("best unit, random-init")
    )
    chance = max(np.mean(site.of("test")[1]), 1 - np.mean(site.of("test")[1]))
    unit, probe = found.unit_accuracy, found.probe_accuracy
    spread = "no unit" if found.participation is None else f"{found.participation:.1f} units"
    share = (unit.value - chance) / max(probe.value - chance, 1e-9)
    said = (
        f"{site.texts.name}, {site.hook}, {site.position}: unit {found.unit} reads "
        f"{unit.value:.1%} [{unit.low:.1%}, {unit.high:.1%}] of {unit.n} test texts, the L1 probe "
        f"{probe.value:.1%}, the best unit of untrained networks {untrained:.1%}. "
    )
    stands_out = found.p_value <= ALPHA and unit.low > untrained
    if probe.low <= chance and stands_out and unit.low > chance:
        return said + (
            "The unit stands out from shuffled labels and untrained networks, but the probe's "
            "interval reaches chance, so that it cannot say what share of the sentiment this is."
        )
    if probe.low <= chance:
        return said + "Sentiment cannot be read here: the probe's interval reaches chance."
    if not stands_out:
        return said + (
            "No single unit stands out from shuffled labels and untrained networks: what the probe "
            f"reads is spread over {spread}."
        )
    if share < SHARE_OF_PROBE:
        return said + (
            f"The unit knows something, but only {share:.0%} of what the probe reads above chance, "
            f"which is spread over {spread}: not a sentiment unit."
        )
    return said + f"It has {share:.0%} of what the probe reads above chance: a sentiment unit."

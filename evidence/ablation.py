"""What a network loses without a feature: prediction, and what a probe can still read."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer
from tqdm.auto import tqdm

from evidence.bits import Bits, cost_interval, text_bits
from evidence.placebos import EQUAL_NORM, EQUAL_SD, Recorder, Replay, check_comparable
from worldscope.activations.reading import read_states
from worldscope.features.feature import Feature
from worldscope.measures import check_labels, mean_interval, paired_interval
from worldscope.networks.hooked import Edit
from worldscope.networks.mlstm import MLSTM
from worldscope.steering.edits import Ablate

Predict = Callable[[Float[np.ndarray, "n d"]], Integer[np.ndarray, " n"]]


@dataclass(frozen=True, kw_only=True)
class AblationEffect:
    """The network with something held at its mean, beside the whole network, on the same texts."""

    feature: str
    """What the question is about, by its origin."""
    kind: str
    """none, feature, placebo equal norm or placebo equal sd."""
    placebo: str
    """Which placebo; blank otherwise."""
    cost_bits_per_byte: float
    """Bits per byte more than the whole network needs."""
    cost_low: float
    cost_high: float
    accuracy: float
    """Of the probe on the states of the ablated network."""
    low: float
    high: float
    change: float
    """Accuracy minus that on the whole network's states."""
    change_low: float
    change_high: float
    n: int
    """Texts."""
    groups: int


def measure_ablation(
    network: MLSTM,
    feature: Feature,
    texts: Sequence[str],
    labels: Integer[np.ndarray, " n"],
    groups: Sequence[Hashable],
    predict: Predict,
    *,
    hook: str,
    position: str = "final",
    placebos: Sequence[Feature] = (),
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Holds a feature at its mean, then each placebo, while the same held-out texts are read.

    At equal norm a placebo is moved as far as the feature was on the same row and step, with the
    same sign; at equal sd it is held at its own mean.

    Args:
        network: What is ablated.
        feature: What is held at its mean.
        texts: Real held-out texts.
        labels: 0 or 1 for each text.
        groups: Group of each text.
        predict: A fitted probe, or a unit's threshold: from states to labels.
        hook: Where it reads.
        position: final or mean: what it reads of each text.
        placebos: Features at the feature's hook.
        seed: Seed of the intervals.
        progress: Show a progress bar.

    Returns:
        A row for each ablation, the whole network first; the columns are the fields of
        `AblationEffect`.

    Raises:
        ValueError: If labels do not fit, or a feature belongs to another network or hook.
    """
    check_labels(labels, rows=len(texts))
    for placebo in (feature, *placebos):
        check_comparable(network, feature, placebo)
    place = (network.hook_name(hook), position)
    bar = tqdm(total=2 + 2 * len(placebos), desc=f"ablating {feature.origin}", disable=not progress)

    def read(for_bits: Edit | None, for_states: Edit | None) -> _Reading:
        with network.hooks([(feature.hook, for_bits)] if for_bits else []):
            bits = text_bits(network, texts)
        with network.hooks([(feature.hook, for_states)] if for_states else []):
            states = read_states(network, texts, [place[0]], [position])[place]
        bar.update()
        return _Reading(bits, (predict(states) == labels).astype(np.float64))

    with bar:
        whole = read(None, None)
        recorders = Recorder(Ablate(feature)), Recorder(Ablate(feature))
        readings = [("none", "", whole), ("feature", "", read(*recorders))]
        for placebo in placebos:
            direction = placebo.sign * placebo.write
            replays = (Replay(direction, recorder.moves) for recorder in recorders)
            readings.append((EQUAL_NORM, placebo.origin, read(*replays)))
            readings.append((EQUAL_SD, placebo.origin, read(Ablate(placebo), Ablate(placebo))))
    rows = [
        _effect(feature.origin, kind, placebo, reading, whole, groups, seed)
        for kind, placebo, reading in readings
    ]
    columns = [field.name for field in fields(AblationEffect)]
    return pd.DataFrame({column: [getattr(row, column) for row in rows] for column in columns})


class _Reading(NamedTuple):
    bits: Bits
    """For each text."""
    right: Float[np.ndarray, " n"]
    """1 where the probe is right, else 0."""


def _effect(
    feature: str,
    kind: str,
    placebo: str,
    reading: _Reading,
    whole: _Reading,
    groups: Sequence[Hashable],
    seed: int,
) -> AblationEffect:
    cost = cost_interval(reading.bits, whole.bits, groups, seed=seed)
    accuracy = mean_interval(reading.right, groups, seed=seed)
    change = paired_interval(reading.right, whole.right, groups, seed=seed)
    return AblationEffect(
        feature=feature,
        kind=kind,
        placebo=placebo,
        cost_bits_per_byte=cost.value,
        cost_low=cost.low,
        cost_high=cost.high,
        accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        change=change.value,
        change_low=change.low,
        change_high=change.high,
        n=accuracy.n,
        groups=accuracy.groups,
    )

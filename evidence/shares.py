"""What a condition did, beside unsteered text: judged share, shift, cost, variety."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from evidence.bits import Bits, cost_interval
from evidence.writing import Design, Outcome
from worldscope.measures import Interval, mean_interval, paired_interval


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One condition as one judge sees it. Intervals resample prompts."""

    feature: str
    """What is steered, by its origin."""
    kind: str
    """unsteered, feature, placebo equal norm or placebo equal sd."""
    placebo: str
    """Which placebo; blank for the feature itself."""
    strength: float
    """In sd; NaN if nothing is steered."""
    judge: str
    share: float
    """Judged share of the continuations."""
    low: float
    high: float
    shift: float
    """Share minus unsteered share, paired by prompt and seed."""
    shift_low: float
    shift_high: float
    moved_fraction: float
    """Shift over the judge's separation of real praise and blame."""
    n: int
    """Generations; for a mean over placebos, of each."""
    groups: int
    """Prompts."""
    cost_bits_per_byte: float
    """Bits per byte of the continuations under the unsteered network, minus the unsteered ones'."""
    cost_low: float
    cost_high: float
    text_cost_bits_per_byte: float
    """Bits per byte of real text under the condition, minus those without it."""
    distinct_1: float
    distinct_2: float
    distinct_3: float


def effects(
    feature: str, outcome: Outcome, plain: Outcome, design: Design, *, seed: int
) -> list[Effect]:
    """A condition's effect, once for each judge."""
    of = outcome.condition
    means = _Means(outcome.judged, outcome.written, outcome.read, outcome.distinct)
    return _effects((feature, of.kind, of.placebo, of.strength), means, plain, design, seed)


def mean_effects(
    feature: str, placebos: Sequence[Outcome], plain: Outcome, design: Design, *, seed: int
) -> list[Effect]:
    """The mean over placebos of one kind and strength, once for each judge.

    Signed shifts are averaged prompt by prompt and seed by seed; placebos are held fixed and
    prompts resampled.
    """
    of = placebos[0].condition
    means = _Means(
        judged={
            name: np.mean([outcome.judged[name] for outcome in placebos], axis=0)
            for name in plain.judged
        },
        written=_pooled([outcome.written for outcome in placebos]),
        read=_pooled([outcome.read for outcome in placebos]),
        distinct=np.mean([outcome.distinct for outcome in placebos], axis=0).tolist(),
    )
    named = (feature, of.kind, f"mean of {len(placebos)}", of.strength)
    return _effects(named, means, plain, design, seed)


def effects_table(rows: Sequence[Effect]) -> pd.DataFrame:
    """A row for each effect, in order."""
    return pd.DataFrame(
        {field.name: [getattr(row, field.name) for row in rows] for field in fields(Effect)}
    )


@dataclass(frozen=True, eq=False)
class _Means:
    """What an effect is computed from: one outcome's, or the mean of several."""

    judged: Mapping[str, Bool[np.ndarray, " n"] | Float[np.ndarray, " n"]]
    written: Bits
    read: Bits
    distinct: Sequence[float]


def _effects(
    named: tuple[str, str, str, float], means: _Means, plain: Outcome, design: Design, seed: int
) -> list[Effect]:
    feature, kind, placebo, strength = named
    cost = cost_interval(means.written, plain.written, design.groups, seed=seed)
    rows = []
    for judge in design.judges:
        judged = means.judged[judge.name]
        share = mean_interval(judged, design.groups, seed=seed)
        shift = _shift(judged, plain.judged[judge.name], design, seed)
        rows.append(
            Effect(
                feature=feature,
                kind=kind,
                placebo=placebo,
                strength=strength,
                judge=judge.name,
                share=share.value,
                low=share.low,
                high=share.high,
                shift=shift.value,
                shift_low=shift.low,
                shift_high=shift.high,
                moved_fraction=shift.value / judge.separation,
                n=share.n,
                groups=share.groups,
                cost_bits_per_byte=cost.value,
                cost_low=cost.low,
                cost_high=cost.high,
                text_cost_bits_per_byte=means.read.per_byte - plain.read.per_byte,
                distinct_1=means.distinct[0],
                distinct_2=means.distinct[1],
                distinct_3=means.distinct[2],
            )
        )
    return rows


def _shift(judged: np.ndarray, plain: np.ndarray, design: Design, seed: int) -> Interval:
    return paired_interval(judged, plain, design.groups, seed=seed)


def _pooled(parts: Sequence[Bits]) -> Bits:
    """Row by row, the bits and bytes of all parts together."""
    return Bits(
        np.sum([part.bits for part in parts], axis=0),
        np.sum([part.n_bytes for part in parts], axis=0),
    )

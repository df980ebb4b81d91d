"""What a condition did, beside unsteered text: judged share, shift, cost, variety."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from evidence.bits import Bits, cost_interval
from evidence.writing import Design, Outcome
from worldscope.measures import mean_interval, paired_interval


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
    feature: str, outcomes: Sequence[Outcome], plain: Outcome, design: Design, *, seed: int
) -> list[Effect]:
    """The effect of a condition, or the mean over placebos of one kind and strength, by judge.

    Several outcomes are averaged prompt by prompt and seed by seed, shifts with their sign; what
    was averaged is held fixed and prompts are resampled.

    Args:
        feature: What is steered.
        outcomes: One, or those of several placebos.
        plain: What was written unsteered.
        design: What they share.
        seed: Seed of the intervals.
    """
    of = outcomes[0].condition
    written, read = _pooled([o.written for o in outcomes]), _pooled([o.read for o in outcomes])
    cost = cost_interval(written, plain.written, design.groups, seed=seed)
    distinct = np.mean([outcome.distinct for outcome in outcomes], axis=0)
    rows = []
    for judge in design.judges:
        judged = np.mean([outcome.judged[judge.name] for outcome in outcomes], axis=0)
        unsteered = plain.judged[judge.name].astype(np.float64)
        share = mean_interval(judged, design.groups, seed=seed)
        shift = paired_interval(judged, unsteered, design.groups, seed=seed)
        rows.append(
            Effect(
                feature=feature,
                kind=of.kind,
                placebo=of.placebo if len(outcomes) == 1 else f"mean of {len(outcomes)}",
                strength=of.strength,
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
                text_cost_bits_per_byte=read.per_byte - plain.read.per_byte,
                distinct_1=float(distinct[0]),
                distinct_2=float(distinct[1]),
                distinct_3=float(distinct[2]),
            )
        )
    return rows


def effects_table(rows: Sequence[Effect]) -> pd.DataFrame:
    """A row for each effect, in order."""
    return pd.DataFrame(
        {field.name: [getattr(row, field.name) for row in rows] for field in fields(Effect)}
    )


def _pooled(parts: Sequence[Bits]) -> Bits:
    """Row by row, the bits and bytes of all parts together."""
    return Bits(
        np.sum([part.bits for part in parts], axis=0),
        np.sum([part.n_bytes for part in parts], axis=0),
    )

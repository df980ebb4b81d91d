"""How far a feature moves what is written, within a budget, at strengths not picked for the result.

The strengths are fixed on half of the prompts, by cost alone and without a look at any judge: on
each side the largest one whose continuations are within the budget. What they do is reported once,
on the other half. So neither strengths nor prompts are the best of many.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from jaxtyping import Int

from evidence.bits import Bits
from evidence.calibration import CalibratedJudge
from evidence.writing import Design, Outcome
from worldscope.measures import mean_interval, permutation_p_value, split_groups


@dataclass(frozen=True)
class Sides:
    """The strengths that a verdict is given at; None where every one is over the budget."""

    down: float | None
    up: float | None

    @property
    def strengths(self) -> tuple[float, ...]:
        """Those that there are."""
        return tuple(strength for strength in (self.down, self.up) if strength is not None)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the feature, or the placebos of a kind, did on the prompts that report."""

    feature: str
    """What is steered, by its origin."""
    kind: str
    """feature, placebo equal norm or placebo equal sd."""
    placebos: int
    """How many this is the mean of; 0 for the feature."""
    judge: str
    down: float
    """Strength below 0; NaN if unsteered text stands there, every one being over the budget."""
    up: float
    """Strength above 0; likewise."""
    share_down: float
    """Judged share of what was written at `down`."""
    share_up: float
    moved: float
    """Share up minus share down, paired by prompt and seed."""
    low: float
    high: float
    moved_fraction: float
    """`moved` over the judge's separation: 1 is as far apart as real praise and real blame."""
    fraction_low: float
    fraction_high: float
    cost_down: float
    """Bits per byte of what was written at `down`, under the unsteered network, minus unsteered."""
    cost_up: float
    n: int
    """Generations on each side; for placebos, of each."""
    groups: int
    """Prompts."""
    largest: float
    """|moved| of the placebo that moved most; NaN for the feature."""
    p_value: float
    """Chance of a placebo of this kind that moves as much as the feature; NaN for the feature."""


def halve_prompts(design: Design, *, seed: int) -> tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
    """Rows of the prompts that choose the strengths, and rows of those that report."""
    parts = split_groups(design.groups, {"choose": 0.5, "report": 0.5}, seed=seed)
    return parts["choose"], parts["report"]


def choose_sides(
    steered: Mapping[float, Outcome],
    plain: Outcome,
    rows: Int[np.ndarray, " rows"],
    *,
    budget: float,
) -> Sides:
    """On each side the largest strength whose continuations are within the budget.

    The cost counts in either direction: text that is cheaper than the network's own by more than
    the budget repeats itself.

    Args:
        steered: What the feature wrote at each strength.
        plain: What was written without it.
        rows: Of the prompts that choose.
        budget: In bits per byte.
    """
    affordable = [s for s, outcome in steered.items() if abs(_cost(outcome, plain, rows)) <= budget]
    return Sides(
        down=min((strength for strength in affordable if strength < 0), default=None),
        up=max((strength for strength in affordable if strength > 0), default=None),
    )


def verdicts(
    feature: str,
    sides: Sides,
    steered: Mapping[float, Outcome],
    placebos: Iterable[Outcome],
    plain: Outcome,
    design: Design,
    rows: Int[np.ndarray, " rows"],
    *,
    seed: int,
) -> pd.DataFrame:
    """A row for each judge and kind, with the fields of `Verdict`.

    Args:
        feature: Its origin.
        sides: Strengths to report.
        steered: What the feature wrote at each strength.
        placebos: What they wrote, those strengths among them.
        plain: What was written unsteered.
        design: What they share.
        rows: Of the prompts that report.
        seed: Seed of the intervals.
    """
    pairs = {"feature": [_Pair.at(sides, steered, plain)]}
    for kind, outcomes in _by_kind(placebos).items():
        pairs[kind] = [_Pair.at(sides, of_one, plain) for of_one in outcomes]
    groups = [design.groups[row] for row in rows]
    table = []
    for judge in design.judges:
        movers = {
            kind: _Movement(
                np.stack([pair.down.judged[judge.name][rows] for pair in of_kind]).astype(float),
                np.stack([pair.up.judged[judge.name][rows] for pair in of_kind]).astype(float),
            )
            for kind, of_kind in pairs.items()
        }
        observed = abs(float(movers["feature"].each[0]))
        for kind, movement in movers.items():
            null = np.abs(movement.each) if kind != "feature" else np.empty(0)
            moved = mean_interval(movement.mean, groups, seed=seed)
            table.append(
                Verdict(
                    feature=feature,
                    kind=kind,
                    placebos=len(null),
                    judge=judge.name,
                    down=_or_nan(sides.down),
                    up=_or_nan(sides.up),
                    share_down=float(movement.down.mean()),
                    share_up=float(movement.up.mean()),
                    moved=moved.value,
                    low=moved.low,
                    high=moved.high,
                    moved_fraction=moved.value / judge.separation,
                    fraction_low=moved.low / judge.separation,
                    fraction_high=moved.high / judge.separation,
                    cost_down=_mean_cost([pair.down for pair in pairs[kind]], plain, rows),
                    cost_up=_mean_cost([pair.up for pair in pairs[kind]], plain, rows),
                    n=moved.n,
                    groups=moved.groups,
                    largest=float(null.max()) if len(null) else float("nan"),
                    p_value=permutation_p_value(observed, null) if len(null) else float("nan"),
                )
            )
    return pd.DataFrame({f.name: [getattr(row, f.name) for row in table] for f in fields(Verdict)})

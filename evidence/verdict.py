"""How far a feature moves what is written, within a budget, at strengths not picked for the result.

The strengths are fixed on half of the prompts, by cost alone and without a look at any judge: on
each side the largest one whose continuations are within the budget. What they do is reported once,
on the other half. So neither strengths nor prompts are the best of many.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from evidence.calibration import CalibratedJudge
from evidence.writing import Design, Outcome
from worldscope.measures import paired_interval, permutation_p_value, split_groups


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
    placebos: int = 0
    """How many this is the mean of; 0 for the feature."""
    largest: float = float("nan")
    """|moved| of the placebo that moved most; NaN for the feature."""
    p_value: float = float("nan")
    """Chance of a placebo of this kind that moves as far as the feature; NaN for the feature."""


class _Pair(NamedTuple):
    """What was written down and up, by the feature or by one placebo."""

    down: Outcome
    up: Outcome

    def moved(self, judge: str, rows: Int[np.ndarray, " rows"]) -> float:
        """Judged share up minus down."""
        up, down = (outcome.judged[judge][rows].mean() for outcome in (self.up, self.down))
        return float(up - down)


def halve_prompts(
    design: Design, *, seed: int
) -> tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]:
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


@dataclass(frozen=True, eq=False)
class Reporting:
    """What all verdicts on a feature share."""

    feature: str
    """Its origin."""
    sides: Sides
    """Strengths to report."""
    plain: Outcome
    """What was written unsteered."""
    design: Design
    rows: Int[np.ndarray, " rows"]
    """Of the prompts that report."""
    seed: int
    """Seed of the intervals."""

    def of_feature(self, steered: Mapping[float, Outcome]) -> list[Verdict]:
        """A verdict for each judge.

        Args:
            steered: What the feature wrote at each strength.
        """
        pair = self._pair(steered)
        return [self._verdict(judge, "feature", [pair]) for judge in self.design.judges]

    def of_placebos(
        self, steered: Mapping[float, Outcome], placebos: Iterable[Outcome]
    ) -> list[Verdict]:
        """A verdict for each judge and kind: the mean, and how the feature ranks by |moved|.

        Args:
            steered: What the feature wrote at each strength, in as many samples as the placebos:
                fewer samples move further by chance.
            placebos: What they wrote, at the strengths of `sides` among others.
        """
        real = self._pair(steered)
        of_kind = _outcomes_by_kind(placebos)
        return [
            self._beside(real, judge, kind, [self._pair(outcomes) for outcomes in each])
            for judge in self.design.judges
            for kind, each in of_kind.items()
        ]

    def _pair(self, outcomes: Mapping[float, Outcome]) -> _Pair:
        """What was written down and up; unsteered text where a side has no strength."""
        down, up = self.sides.down, self.sides.up
        return _Pair(
            self.plain if down is None else outcomes[down],
            self.plain if up is None else outcomes[up],
        )

    def _verdict(self, judge: CalibratedJudge, kind: str, pairs: Sequence[_Pair]) -> Verdict:
        down, up = (
            np.mean([outcome.judged[judge.name][self.rows] for outcome in side], axis=0)
            for side in zip(*pairs, strict=True)
        )
        groups = [self.design.groups[row] for row in self.rows]
        moved = paired_interval(up, down, groups, seed=self.seed)
        cost_down, cost_up = (
            float(np.mean([_cost(outcome, self.plain, self.rows) for outcome in side]))
            for side in zip(*pairs, strict=True)
        )
        return Verdict(
            feature=self.feature,
            kind=kind,
            judge=judge.name,
            down=float("nan") if self.sides.down is None else self.sides.down,
            up=float("nan") if self.sides.up is None else self.sides.up,
            share_down=float(down.mean()),
            share_up=float(up.mean()),
            moved=moved.value,
            low=moved.low,
            high=moved.high,
            moved_fraction=moved.value / judge.separation,
            fraction_low=moved.low / judge.separation,
            fraction_high=moved.high / judge.separation,
            cost_down=cost_down,
            cost_up=cost_up,
            n=moved.n,
            groups=moved.groups,
        )

    def _beside(
        self, real: _Pair, judge: CalibratedJudge, kind: str, pairs: Sequence[_Pair]
    ) -> Verdict:
        null = np.abs([pair.moved(judge.name, self.rows) for pair in pairs])
        return replace(
            self._verdict(judge, kind, pairs),
            placebos=len(pairs),
            largest=float(null.max()),
            p_value=permutation_p_value(abs(real.moved(judge.name, self.rows)), null),
        )


def verdict_table(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """A row for each verdict, in order, with the fields of `Verdict`."""
    rows, columns = list(verdicts), [field.name for field in fields(Verdict)]
    return pd.DataFrame({column: [getattr(row, column) for row in rows] for column in columns})


def _outcomes_by_kind(placebos: Iterable[Outcome]) -> dict[str, list[dict[float, Outcome]]]:
    """For each kind of placebo, what each one wrote at each strength."""
    found: dict[str, dict[str, dict[float, Outcome]]] = {}
    for outcome in placebos:
        of = outcome.condition
        found.setdefault(of.kind, {}).setdefault(of.placebo, {})[of.strength] = outcome
    return {kind: list(of_kind.values()) for kind, of_kind in found.items()}


def _cost(outcome: Outcome, plain: Outcome, rows: Int[np.ndarray, " rows"]) -> float:
    return outcome.written.of(rows).per_byte - plain.written.of(rows).per_byte

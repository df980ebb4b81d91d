from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.bits import Bits
from evidence.calibration import CalibratedJudge
from evidence.verdict import Reporting, Sides, choose_sides, halve_prompts, verdict_table
from evidence.writing import Condition, Design, Outcome, WritingConfig
from worldscope.measures import Interval, paired_interval
from worldscope.networks.mlstm import MLSTM

PROMPTS, SAMPLES = 6, 5
ROWS = PROMPTS * SAMPLES


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, texts: Sequence[str]) -> np.ndarray:
        raise AssertionError("a verdict judges nothing anew")


def judge(separation: float = 0.5) -> CalibratedJudge:
    accuracy = Interval(0.75, 0.7, 0.8, 100, 50)
    return CalibratedJudge(Named("ours"), 0.0, 10, 10.0, accuracy, 0.2 + separation, 0.2)


def outcome(condition: Condition, judged: np.ndarray, bits: np.ndarray | float) -> Outcome:
    width = np.full(ROWS, 10)
    return Outcome(
        condition=condition,
        generations=[],
        judged={"ours": judged},
        written=Bits(np.broadcast_to(bits, ROWS) * 10.0, width),
        read=Bits(np.ones(3), np.ones(3, dtype=int)),
        distinct=(1.0, 1.0, 1.0),
    )


def costing(costs: dict[float, float]) -> tuple[dict[float, Outcome], Outcome]:
    nothing = np.zeros(ROWS, dtype=bool)
    plain = outcome(Condition("unsteered"), nothing, 2.0)
    steered = {s: outcome(Condition("feature", "", s), nothing, 2.0 + c) for s, c in costs.items()}
    return steered, plain


@pytest.mark.parametrize(
    ("costs", "sides"),
    [
        ({-2.0: 0.3, -1.0: 0.1, 0.0: 0.0, 1.0: 0.1, 2.0: 0.14, 3.0: 0.2}, (-1.0, 2.0)),
        ({-2.0: 0.1, -1.0: 0.2, 1.0: 0.2, 2.0: 0.1}, (-2.0, 2.0)),
        ({-1.0: 0.2, 1.0: 0.1}, (None, 1.0)),
        ({-1.0: 0.2, 0.0: 0.0, 1.0: 0.2}, (None, None)),
        ({-1.0: 0.1, 1.0: 0.1, 2.0: -0.5}, (-1.0, 1.0)),
    ],
    ids=["largest within", "not monotone", "one side", "neither", "repetitive text costs too"],
)
def test_each_side_takes_the_largest_strength_within_the_budget(
    costs: dict[float, float], sides: tuple[float | None, float | None]
) -> None:
    steered, plain = costing(costs)
    assert choose_sides(steered, plain, np.arange(ROWS), budget=0.15) == Sides(*sides)


def test_only_the_choosing_rows_are_looked_at() -> None:
    steered, plain = costing({1.0: 0.0})
    bits = np.where(np.arange(ROWS) < 10, 2.0, 9.0)
    steered[2.0] = outcome(Condition("feature", "", 2.0), np.zeros(ROWS, dtype=bool), bits)
    assert choose_sides(steered, plain, np.arange(10), budget=0.15).up == 2.0
    assert choose_sides(steered, plain, np.arange(10, ROWS), budget=0.15).up == 1.0


@settings(max_examples=20)
@given(st.integers(0, 100))
def test_half_of_the_prompts_choose_and_the_others_report(seed: int) -> None:
    design = a_design()
    choose, report = halve_prompts(design, seed=seed)
    assert sorted([*choose, *report]) == list(range(ROWS))
    chosen, reported = ({design.groups[row] for row in half} for half in (choose, report))
    assert len(chosen) == len(reported) == PROMPTS // 2
    assert not chosen & reported


def a_design(network: MLSTM | None = None) -> Design:
    from worldscope.networks.loading import new_mlstm

    network = network or new_mlstm(d_hidden=2, d_embed=2)
    prompts = [f"prompt {number}" for number in range(PROMPTS)]
    return Design(network, [judge()], prompts, [], WritingConfig(samples_per_prompt=SAMPLES))


def judged(random: np.random.Generator, share: float) -> np.ndarray:
    return random.random(ROWS) < share


def a_study() -> tuple[dict[float, Outcome], list[Outcome], Outcome]:
    """Strengths −2 and 3, and three placebos of a kind; random verdicts."""
    random = np.random.default_rng(0)
    plain = outcome(Condition("unsteered"), judged(random, 0.5), 2.0)
    steered = {
        s: outcome(Condition("feature", "", s), judged(random, share), 2.0 + cost)
        for s, share, cost in ((-2.0, 0.2, 0.1), (3.0, 0.9, 0.05), (4.0, 1.0, 0.5))
    }
    placebos = [
        outcome(Condition("placebo equal norm", f"unit {unit}", s), judged(random, 0.5), 2.0)
        for s in (-2.0, 3.0, 4.0)
        for unit in range(3)
    ]
    return steered, placebos, plain


def a_table(sides: Sides, rows: np.ndarray) -> pd.DataFrame:
    steered, placebos, plain = a_study()
    report = Reporting("unit 7", sides, plain, a_design(), rows, seed=0)
    return verdict_table([*report.of_feature(steered), *report.of_placebos(steered, placebos)])


def test_the_verdict_is_the_paired_difference_of_both_sides_on_the_reporting_rows() -> None:
    rows = np.arange(10, 25)
    table = a_table(Sides(-2.0, 3.0), rows)
    steered, placebos, plain = a_study()
    up, down = (steered[s].judged["ours"][rows].astype(float) for s in (3.0, -2.0))
    groups = [a_design().groups[row] for row in rows]
    expected = paired_interval(up, down, groups, seed=0)
    row = table.iloc[0]
    assert row["kind"] == "feature"
    assert (row["moved"], row["low"], row["high"]) == (expected.value, expected.low, expected.high)
    assert row["moved_fraction"] == pytest.approx(expected.value / 0.5)
    assert (row["fraction_low"], row["fraction_high"]) == pytest.approx(
        (expected.low / 0.5, expected.high / 0.5)
    )
    assert (row["cost_down"], row["cost_up"]) == pytest.approx((0.1, 0.05))
    assert (row["n"], row["groups"]) == (15, 3)
    assert (row["down"], row["up"]) == (-2.0, 3.0)


def test_placebos_are_averaged_and_rank_the_feature() -> None:
    rows = np.arange(10, 25)
    row = a_table(Sides(-2.0, 3.0), rows).iloc[1]
    _, placebos, _ = a_study()
    by_name = {
        (o.condition.placebo, o.condition.strength): o.judged["ours"][rows] for o in placebos
    }
    moved = [by_name[f"unit {u}", 3.0].mean() - by_name[f"unit {u}", -2.0].mean() for u in range(3)]
    assert row["kind"] == "placebo equal norm"
    assert row["placebos"] == 3
    assert row["moved"] == pytest.approx(np.mean(moved))
    assert row["largest"] == pytest.approx(np.abs(moved).max())
    assert row["p_value"] == 1 / 4, "none of three moved as far as the feature"


def test_a_side_without_a_strength_is_unsteered_text() -> None:
    rows = np.arange(10, 25)
    table = a_table(Sides(None, 3.0), rows)
    steered, placebos, plain = a_study()
    expected = steered[3.0].judged["ours"][rows].mean() - plain.judged["ours"][rows].mean()
    assert np.isnan(table.loc[0, "down"])
    assert table.loc[0, "moved"] == pytest.approx(expected)
    assert table.loc[0, "cost_down"] == 0.0


def test_what_choosing_prompts_wrote_does_not_change_the_verdict() -> None:
    rows = np.arange(10, 25)
    before = a_table(Sides(-2.0, 3.0), rows)
    steered, placebos, plain = a_study()
    for each in [*steered.values(), *placebos, plain]:
        each.judged["ours"][:10] ^= True
    report = Reporting("unit 7", Sides(-2.0, 3.0), plain, a_design(), rows, seed=0)
    after = [*report.of_feature(steered), *report.of_placebos(steered, placebos)]
    pd.testing.assert_frame_equal(verdict_table(after), before)

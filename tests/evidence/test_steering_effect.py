"""The whole measurement on a network whose answer is known."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evidence.calibration import CalibratedJudge, calibrate
from evidence.shares import Effect
from evidence.steering_effect import SteeringConfig, SteeringResult, measure_steering
from evidence.writing import WritingConfig
from worldscope.features.feature import unit_feature
from worldscope.networks.loading import new_mlstm
from worldscope.steering.edits import Add

PROMPTS = ["gb", "bg gb", "ggb", "bbg", "b b g", "g b g"]
CONFIG = SteeringConfig(
    strengths=(-6.0, -0.5, 0.5, 6.0),
    placebo_strengths=(6.0,),
    budget=1.0,
    writing=WritingConfig(samples_per_prompt=20, max_new=16),
)


class LetterJudge:
    """Share of g minus share of b."""

    name = "letters"

    def score(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([(t.count("g") - t.count("b")) / max(1, len(t)) for t in texts])


def calibrated(length: int) -> CalibratedJudge:
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    texts = ["".join(random.choice(["g", "b"], p=[p, 1 - p], size=60)) for p in 0.3 + 0.4 * labels]
    return calibrate(LetterJudge(), texts, labels, list(range(200)), length=length, seed=0)


@pytest.fixture(scope="module")
def result(planted, real_texts: list[str]) -> SteeringResult:
    network, statistics = planted.network, planted.statistics
    placebos = [
        unit_feature(network, statistics, unit, sign=sign, label="placebo")
        for unit, sign in ((1, 1), (3, -1), (5, 1))
    ]
    return measure_steering(
        network, planted.feature, [calibrated(16)], PROMPTS, real_texts, placebos, config=CONFIG
    )


def of_feature(result: SteeringResult) -> dict[float, dict]:
    """The feature's rows by strength."""
    return {
        row["strength"]: row for row in result.table.to_dict("records") if row["kind"] == "feature"
    }


def test_there_is_a_row_for_each_condition(result: SteeringResult) -> None:
    counts = result.table.groupby("kind").size().to_dict()
    assert counts == {
        "unsteered": 1,
        "feature": 4,
        "placebo equal norm": 3 * 3,
        "placebo equal sd": 3 * 3,
    }
    assert set(result.table["n"]) == {120}
    assert set(result.table["groups"]) == {6}
    assert list(result.table.columns) == list(Effect.__dataclass_fields__)
    assert len(result.generations) == len(result.table) * 120


def test_the_letters_written_have_the_chances_that_were_planted(
    result: SteeringResult,
    planted,
) -> None:
    for strength in CONFIG.strengths:
        texts = [g["text"] for g in result.generations if g["strength"] == strength]
        written = "".join(texts[:120])  # the feature's come first
        share = written.count("g") / len(written)
        assert share == pytest.approx(planted.share_of_g(strength), abs=0.04), strength


def test_the_judged_share_moves_with_the_strength(result: SteeringResult) -> None:
    rows = of_feature(result)
    shares = [rows[strength]["share"] for strength in CONFIG.strengths]
    assert shares == sorted(shares)
    assert shares[-1] > 0.98
    assert shares[0] < 0.02
    assert rows[0.5]["shift_low"] > 0.1
    assert rows[-0.5]["shift_high"] < -0.1


def test_shares_and_shifts_are_those_of_the_generations(result: SteeringResult) -> None:
    judge = calibrated(16)
    judged = defaultdict(list)
    for g in result.generations:
        strength = float("nan") if g["strength"] is None else g["strength"]
        judged[g["kind"], g["placebo"], str(strength)].append(judge.positive([g["text"]])[0])
    plain = np.mean(judged["unsteered", "", "nan"])
    rows = result.table.to_dict("records")
    assert len(rows) == len(judged)
    for row in rows:
        share = np.mean(judged[row["kind"], row["placebo"], str(row["strength"])])
        assert row["share"] == pytest.approx(share)
        assert row["shift"] == pytest.approx(share - plain)
        assert row["moved_fraction"] == pytest.approx(row["shift"] / judge.separation)
        assert row["low"] <= row["share"] <= row["high"]
        assert row["shift_low"] <= row["shift"] <= row["shift_high"]


def test_placebos_that_lead_nowhere_do_exactly_nothing(result: SteeringResult) -> None:
    zero = ["shift", "shift_low", "shift_high", "cost_bits_per_byte", "text_cost_bits_per_byte"]
    placebos = result.table["kind"].str.startswith("placebo")
    assert placebos.sum() == 2 * 3 * 3
    assert np.all(result.table.loc[placebos, zero].to_numpy() == 0)
    means = result.placebo_means
    assert np.abs(means[zero].to_numpy()).max() < 1e-12
    assert set(means["placebo"]) == {"mean of 3"}
    assert len(means) == 2 * 3


def test_the_verdict_takes_the_strengths_within_the_budget(result: SteeringResult) -> None:
    rows = of_feature(result)
    assert rows[6.0]["cost_bits_per_byte"] > 1.0 > rows[0.5]["cost_bits_per_byte"]
    verdict = {row["kind"]: row for row in result.verdict.to_dict("records")}
    assert {(row["down"], row["up"]) for row in verdict.values()} == {(-0.5, 0.5)}
    assert verdict["feature"]["low"] > 0.3
    assert verdict["feature"]["groups"] == 3
    for kind in ("placebo equal norm", "placebo equal sd"):
        assert verdict[kind]["moved"] == 0
        assert verdict[kind]["p_value"] == 1 / 4


def test_costs_grow_with_the_strength_and_text_is_priced_too(result: SteeringResult) -> None:
    rows = of_feature(result)
    assert rows[6.0]["cost_low"] > rows[0.5]["cost_high"]
    assert rows[0.5]["cost_low"] > 0
    assert rows[6.0]["text_cost_bits_per_byte"] > 1


def test_prompts_are_not_judged(result: SteeringResult) -> None:
    assert all(len(generation["text"]) == 16 for generation in result.generations)
    unsteered = [g for g in result.generations if g["strength"] is None]
    assert {g["prompt"] for g in unsteered} == set(PROMPTS)
    assert [g["seed"] for g in unsteered] == list(range(120))


def test_adding_moves_too_and_no_placebos_are_needed_to_look(planted, real_texts) -> None:
    config = SteeringConfig(strengths=(3.0,), writing=WritingConfig(10, 16))
    result = measure_steering(
        planted.network,
        planted.feature.flipped("b"),
        [calibrated(16)],
        PROMPTS[:4],
        real_texts,
        [],
        config=config,
        edit=Add,
    )
    assert of_feature(result)[3.0]["shift_high"] < -0.2
    assert result.placebo_means.empty
    assert result.verdict["kind"].tolist() == ["feature"]


def test_wrong_input_is_named(planted, real_texts: list[str]) -> None:
    network, feature = planted.network, planted.feature
    judge = calibrated(16)

    def measure(judges, prompts, of=network, placebos=()):
        return measure_steering(of, feature, judges, prompts, real_texts, placebos)

    with pytest.raises(ValueError, match="3 different prompts among 4"):
        measure([judge], ["a", "b", "c", "c"])
    with pytest.raises(ValueError, match=r"judges are \['letters', 'letters'\]"):
        measure([judge, judge], PROMPTS)
    with pytest.raises(ValueError, match=f"2 placebos are called {feature.origin}"):
        measure([judge], PROMPTS, placebos=[feature, feature.flipped("placebo")])
    with pytest.raises(ValueError, match="was found on network"):
        measure([judge], PROMPTS, of=new_mlstm(d_hidden=6, d_embed=4))
    with pytest.raises(ValueError, match="placebos cannot be steered at 9"):
        SteeringConfig(placebo_strengths=(9.0,))
    with pytest.raises(ValueError, match="give some, each once"):
        SteeringConfig(strengths=(1.0, 1.0))
    with pytest.raises(ValueError, match="samples_per_prompt is 0"):
        measure_steering(
            network,
            feature,
            [judge],
            PROMPTS,
            real_texts,
            [],
            config=replace(CONFIG, placebo_samples=0),
        )


def test_placebos_may_write_fewer_samples_without_changing_the_feature(
    result: SteeringResult,
    planted,
    real_texts: list[str],
) -> None:
    network, statistics = planted.network, planted.statistics
    placebo = unit_feature(network, statistics, 1, label="placebo")
    fewer = measure_steering(
        network,
        planted.feature,
        [calibrated(16)],
        PROMPTS,
        real_texts,
        [placebo],
        config=replace(CONFIG, placebo_samples=2),
    )
    of_placebos = fewer.table["kind"].str.startswith("placebo")
    assert set(fewer.table.loc[of_placebos, "n"]) == {2 * len(PROMPTS)}
    assert of_feature(fewer) == of_feature(result)
    real = [table.loc[table["kind"] == "feature"] for table in (fewer.verdict, result.verdict)]
    columns = ["share_down", "share_up", "moved", "low", "high", "n"]
    pd.testing.assert_frame_equal(real[0][columns], real[1][columns])


def test_a_feature_is_ranked_among_placebos_by_as_many_samples_as_theirs(
    planted, real_texts: list[str]
) -> None:
    network, statistics = planted.network, planted.statistics
    placebos = [unit_feature(network, statistics, unit, label="placebo") for unit in (1, 2, 3)]

    def beside(samples: int, of_placebos: int | None) -> pd.DataFrame:
        writing = replace(CONFIG.writing, samples_per_prompt=samples)
        config = replace(CONFIG, writing=writing, placebo_samples=of_placebos)
        measured = measure_steering(
            network, planted.feature, [calibrated(16)], PROMPTS, real_texts, placebos, config=config
        )
        return measured.verdict.query("kind != 'feature'").reset_index(drop=True)

    few = beside(samples=2, of_placebos=None)
    pd.testing.assert_frame_equal(beside(samples=4, of_placebos=2), few)

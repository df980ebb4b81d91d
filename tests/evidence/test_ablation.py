import numpy as np
import pandas as pd
import pytest

from evidence.ablation import AblationEffect, measure_ablation
from evidence.bits import text_bits
from worldscope.features.feature import unit_feature
from worldscope.features.statistics import measure_statistics
from worldscope.steering.edits import Ablate, steer


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Even ones end in g, odd ones in b: the planted unit knows which."""
    random = np.random.default_rng(2)
    return [
        "".join(random.choice(list("gb "), size=15)) + ("b" if row % 2 else "g")
        for row in range(24)
    ]


LABELS = np.arange(24) % 2
GROUPS = [row // 2 for row in range(24)]


@pytest.fixture(scope="module")
def table(planted, texts: list[str]) -> pd.DataFrame:
    network, statistics = planted.network, planted.statistics
    placebos = [unit_feature(network, statistics, unit, sign=-1) for unit in (1, 4)]
    middle = planted.feature.mean

    def predict(states: np.ndarray) -> np.ndarray:
        return (states[:, 0] > middle).astype(np.int64)

    return measure_ablation(
        network, planted.feature, texts, LABELS, GROUPS, predict, hook="hook_h", placebos=placebos
    )


def test_the_cost_is_that_of_the_texts_read_with_the_unit_at_its_mean(
    table: pd.DataFrame,
    planted,
    texts: list[str],
) -> None:
    whole = text_bits(planted.network, texts)
    with steer(planted.network, Ablate(planted.feature)):
        ablated = text_bits(planted.network, texts)
    row = table.set_index("kind").loc["feature"]
    assert row["cost_bits_per_byte"] == pytest.approx(ablated.per_byte - whole.per_byte)
    assert row["cost_low"] <= row["cost_bits_per_byte"] <= row["cost_high"]
    assert abs(row["cost_bits_per_byte"]) > 1e-3


def test_a_probe_on_the_ablated_unit_knows_nothing(table: pd.DataFrame) -> None:
    whole, feature = (table.set_index("kind").loc[kind] for kind in ("none", "feature"))
    assert feature["accuracy"] == 0.5
    assert feature["change"] == pytest.approx(0.5 - whole["accuracy"])
    assert whole["change"] == whole["cost_bits_per_byte"] == 0
    assert (whole["n"], whole["groups"]) == (24, 12)


def test_placebos_that_lead_nowhere_lose_nothing(table: pd.DataFrame) -> None:
    placebos = table[table["kind"].str.startswith("placebo")]
    assert placebos["placebo"].tolist() == ["unit 1", "unit 1", "unit 4", "unit 4"]
    assert placebos["kind"].tolist() == ["placebo equal norm", "placebo equal sd"] * 2
    columns = ["cost_bits_per_byte", "cost_low", "cost_high", "change", "change_low", "change_high"]
    assert np.all(placebos.loc[:, columns].to_numpy() == 0)
    assert list(table.columns) == list(AblationEffect.__dataclass_fields__)


def test_a_placebo_that_leads_somewhere_is_moved_as_far_as_the_feature(
    recurrent,
    texts: list[str],
) -> None:
    statistics = measure_statistics(recurrent, texts)
    feature = unit_feature(recurrent, statistics, 2)
    same = measure_ablation(
        recurrent,
        feature,
        texts,
        LABELS,
        GROUPS,
        lambda states: (states[:, 0] > 0).astype(np.int64),
        hook="hook_c",
        position="mean",
        placebos=[feature, unit_feature(recurrent, statistics, 3)],
    )
    cost = same["cost_bits_per_byte"].to_numpy()
    assert cost[1:4] == pytest.approx(cost[1], rel=1e-3), "the feature as its own placebo"
    assert cost[4] != pytest.approx(cost[5], rel=1e-3)
    assert (cost[[1, 4, 5]] != 0).all()


def test_wrong_input_is_named(planted, texts: list[str]) -> None:
    network, feature = planted.network, planted.feature

    def measure(labels: np.ndarray, **settings) -> None:
        measure_ablation(
            network, feature, texts, labels, GROUPS, lambda _: labels, hook="hook_h", **settings
        )

    with pytest.raises(ValueError, match="both 0 and 1 are needed"):
        measure(np.zeros(24, dtype=np.int64))
    elsewhere = unit_feature(network, measure_statistics(network, texts, "hook_c"), 1)
    with pytest.raises(ValueError, match="give placebos at the feature's hook"):
        measure(LABELS, placebos=[elsewhere])

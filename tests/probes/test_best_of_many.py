"""The null of the maximum against ranking all units again for each permutation."""

import numpy as np
import pytest

from probes.best_of_many import max_null
from probes.ranking import RankBy, UnitRanking, rank_units
from worldscope.measures import label_permutations, permutation_p_value


def best_score(ranking: UnitRanking, by: RankBy) -> float:
    either_way = np.maximum(ranking.auroc, 1 - ranking.auroc)
    return float({"accuracy": ranking.accuracy, "auroc": either_way}[by].max())


@pytest.mark.parametrize("by", ["accuracy", "auroc"])
@pytest.mark.parametrize("rows", [3, 64, 300])
@pytest.mark.parametrize("levels", [2, 10**9])
def test_each_draw_is_the_best_unit_under_permuted_labels(
    by: RankBy, rows: int, levels: int
) -> None:
    random = np.random.default_rng(rows)
    acts = (random.integers(-levels, levels + 1, size=(rows, 9)) / levels).astype(np.float32)
    labels = (np.arange(rows) % 3 == 0).astype(np.int64)
    groups = np.arange(rows) // 2
    null = max_null(acts, labels, groups, permutations=70, seed=5, by=by)

    permuted = label_permutations(labels, groups, permutations=70, seed=5)
    one_by_one = [best_score(rank_units(acts, column), by) for column in permuted.T]
    assert null == pytest.approx(np.array(one_by_one), abs=1e-12)


@pytest.mark.parametrize("by", ["accuracy", "auroc"])
def test_noise_is_within_its_null_and_a_planted_unit_beyond_it(by: RankBy) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(2, size=400)
    noise = random.normal(size=(400, 60))
    planted = noise + 0.5 * labels[:, None] * (np.arange(60) == 8)
    p_values = []
    for acts in (noise, planted):
        null = max_null(acts, labels, range(400), permutations=100, seed=0, by=by)
        p_values.append(permutation_p_value(best_score(rank_units(acts, labels), by), null))
    assert p_values[0] > 0.05
    assert p_values[1] == 1 / 101


def test_more_units_reach_more_by_chance() -> None:
    random = np.random.default_rng(0)
    acts, labels = random.normal(size=(200, 100)), random.integers(2, size=200)
    few = max_null(acts[:, :2], labels, range(200), permutations=50, seed=0)
    many = max_null(acts, labels, range(200), permutations=50, seed=0)
    assert (many >= few).all()
    assert many.mean() > few.mean() + 0.03

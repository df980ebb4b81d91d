"""Random rotations: uniform on the orthogonal group, and a test of whether units are special."""

import numpy as np
import pytest
from scipy import stats

from probes.ranking import rank_units
from probes.rotation import ScoreUnits, random_rotation, rotate_units


def accuracy_on(labels: np.ndarray) -> ScoreUnits:
    return lambda acts: rank_units(acts, labels).accuracy


def correlation_with(target: np.ndarray) -> ScoreUnits:
    centred = target - target.mean()

    def score(acts: np.ndarray) -> np.ndarray:
        spread = np.linalg.norm(acts - acts.mean(axis=0), axis=0) * np.linalg.norm(centred)
        return np.abs(centred @ acts) / spread

    return score


@pytest.mark.parametrize("units", [1, 2, 7, 64])
def test_a_rotation_is_orthogonal(units: int) -> None:
    axes = random_rotation(units, seed=0)
    assert axes.shape == (units, units)
    assert np.abs(axes.T @ axes - np.eye(units)).max() < 1e-12


def test_every_entry_is_distributed_as_a_coordinate_of_a_random_point_on_the_sphere() -> None:
    """In three dimensions such a coordinate is uniform between -1 and 1 (Archimedes)."""
    drawn = np.stack([random_rotation(3, seed=seed) for seed in range(1500)])
    for row in range(3):
        for column in range(3):
            uniform = stats.kstest(drawn[:, row, column], stats.uniform(-1, 2).cdf)
            assert uniform.pvalue > 1e-4, (row, column)
    assert abs(np.mean(np.linalg.det(drawn) > 0) - 0.5) < 4 * 0.5 / np.sqrt(1500)


def test_a_state_that_one_unit_keeps_is_read_better_by_it_than_by_any_random_axis() -> None:
    random = np.random.default_rng(0)
    acts = random.standard_normal((400, 16)).astype(np.float32)
    test = rotate_units(acts, accuracy_on((acts[:, 3] > 0).astype(int)), rotations=9, seed=0)
    assert test.best_unit == 1
    assert test.best_axes.shape == (9,)
    assert test.best_axes.max() < 0.9
    assert test.share_as_good == 0
    assert test.p_value == 1 / 10


def test_without_a_special_basis_the_units_are_as_good_as_any_axes() -> None:
    """The p-value of bases that were themselves drawn at random is uniform."""
    p_values = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        hidden = random.laplace(size=(200, 8)) * np.arange(1, 9)
        acts = hidden @ random_rotation(8, seed=1000 + seed)
        test = rotate_units(acts, correlation_with(hidden[:, 0]), rotations=19, seed=seed)
        p_values.append(test.p_value)
    assert stats.kstest(p_values, stats.uniform(0.025, 1).cdf).pvalue > 1e-3


def test_blocks_of_axes_give_what_rotating_at_once_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    acts, target = random.standard_normal((50, 7)), random.standard_normal(50)
    score = correlation_with(target)
    widths: list[int] = []

    def counted(block: np.ndarray) -> np.ndarray:
        widths.append(block.shape[1])
        return score(block)

    whole = rotate_units(acts, score, rotations=3, seed=5)
    assert whole.best_unit == pytest.approx(score(acts).max())
    monkeypatch.setattr("probes.rotation._CELLS", 100)
    blocks = rotate_units(acts, counted, rotations=3, seed=5)
    assert widths == [2, 2, 2, 1] * 4
    assert blocks.best_unit == pytest.approx(whole.best_unit)
    assert blocks.best_axes == pytest.approx(whole.best_axes)


def test_a_rotation_is_the_same_whatever_their_number() -> None:
    random = np.random.default_rng(0)
    acts, score = random.standard_normal((50, 5)), correlation_with(random.standard_normal(50))
    few, many = (rotate_units(acts, score, rotations=n, seed=0).best_axes for n in (2, 6))
    assert np.array_equal(few, many[:2])
    assert len(set(many)) == 6


def test_the_share_counts_axes_that_are_as_good() -> None:
    """One unit: every rotation of it is the unit or its mirror image."""
    acts = np.random.default_rng(0).standard_normal((40, 1))
    test = rotate_units(acts, correlation_with(acts[:, 0]), rotations=4, seed=0)
    assert (test.share_as_good, test.p_value) == (1, 1)


def test_wrong_input_is_named() -> None:
    acts = np.ones((4, 3))
    with pytest.raises(ValueError, match="The number of rotations is 0"):
        rotate_units(acts, lambda x: x[0], rotations=0, seed=0)
    with pytest.raises(ValueError, match="The number of units is 0"):
        random_rotation(0, seed=0)
    with pytest.raises(ValueError, match=r"one finite score for each unit"):
        rotate_units(acts, lambda x: x[:, 0], rotations=1, seed=0)
    with pytest.raises(ValueError, match=r"not all finite"):
        rotate_units(acts, lambda x: x[0] * np.nan, rotations=1, seed=0)
    acts[2, 1] = np.inf
    with pytest.raises(ValueError, match="unit 1 at row 2 is inf"):
        rotate_units(acts, lambda x: x[0], rotations=1, seed=0)

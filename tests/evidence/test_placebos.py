import numpy as np
import pytest
import torch

from evidence.bits import text_bits
from evidence.placebos import (
    Recorder,
    Replay,
    check_comparable,
    placebo_directions,
    placebo_units,
)
from worldscope.activations.reading import read_states
from worldscope.features.feature import direction_feature, unit_feature
from worldscope.features.statistics import Statistics, measure_statistics
from worldscope.networks.hooked import HookPoint
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM
from worldscope.steering.edits import Ablate, Clamp

TEXTS = ["one text to read", "and another one, longer than that", "short"]


@pytest.fixture(scope="module")
def statistics(recurrent: MLSTM) -> Statistics:
    return measure_statistics(recurrent, TEXTS, "hook_c")


class Watch:
    """Wraps an edit and measures, from outside, how far it moves every row."""

    def __init__(self, edit) -> None:
        self.edit = edit
        self.seen: list[torch.Tensor] = []

    def __call__(self, acts: torch.Tensor, hook: HookPoint) -> torch.Tensor:
        edited = self.edit(acts, hook)
        self.seen.append((edited - acts)[:, 0])
        return edited


def test_a_recorder_keeps_how_far_the_edit_moved_each_row(
    recurrent: MLSTM, statistics: Statistics
) -> None:
    direction = np.random.default_rng(0).standard_normal(8)
    feature = direction_feature(recurrent, statistics, direction).flipped("away")
    recorder = Recorder(Clamp(feature, 2.0))
    acts = torch.randn(5, 1, 8)
    edited = recorder(acts, recurrent.hook_dict[feature.hook])
    moved = (feature.mean - 2.0 * feature.sd) - feature.values(acts[:, 0].numpy())
    assert torch.equal(edited, Clamp(feature, 2.0)(acts, recurrent.hook_dict[feature.hook]))
    assert recorder.moves[0].numpy() == pytest.approx(-moved, rel=1e-4), "positive: to the label"
    assert recorder.norms[0].numpy() == pytest.approx(np.abs(moved), rel=1e-4)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_replay_moves_every_row_and_step_as_far_along_its_own_direction(
    recurrent: MLSTM, statistics: Statistics, sign: float
) -> None:
    feature = unit_feature(recurrent, statistics, 3)
    recorder = Recorder(Clamp(feature, 3.0))
    with recurrent.hooks([(feature.hook, recorder)]):
        text_bits(recurrent, TEXTS, batch=2, chunk=7)
    direction = np.array([0.0, 2.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0])
    watch = Watch(Replay(direction, recorder.norms, sign))
    with recurrent.hooks([(feature.hook, watch)]):
        text_bits(recurrent, TEXTS, batch=2, chunk=7)
    assert len(watch.seen) == len(recorder.moves) > len(TEXTS[1])
    axis = torch.as_tensor(sign * direction / np.linalg.norm(direction)).float()
    for change, norms in zip(watch.seen, recorder.norms, strict=True):
        torch.testing.assert_close(change, norms[:, None] * axis, rtol=1e-4, atol=1e-5)


def test_replaying_an_ablation_along_its_own_unit_is_that_ablation(
    recurrent: MLSTM, statistics: Statistics
) -> None:
    feature = unit_feature(recurrent, statistics, 3, sign=-1)
    recorder = Recorder(Ablate(feature))
    with recurrent.hooks([(feature.hook, recorder)]):
        ablated = text_bits(recurrent, TEXTS)
    with recurrent.hooks([(feature.hook, Replay(-feature.write, recorder.moves))]):
        replayed = text_bits(recurrent, TEXTS)
    assert replayed.bits == pytest.approx(ablated.bits, rel=1e-4)
    assert len({float(move.sign()[0]) for move in recorder.moves}) == 2, "it moved both ways"


def test_a_replay_on_other_texts_is_refused(recurrent: MLSTM, statistics: Statistics) -> None:
    replay = Replay(np.eye(8)[0], [torch.ones(3)])
    with (
        pytest.raises(ValueError, match="call 0 at lstm.0.hook_c has 2 rows and 3 were recorded"),
        recurrent.hooks([("hook_c", replay)]),
    ):
        text_bits(recurrent, TEXTS[:2])
    with (
        pytest.raises(ValueError, match="call 1 .* 0 were recorded"),
        recurrent.hooks([("hook_c", replay)]),
    ):
        text_bits(recurrent, TEXTS)


def planted_states(labels: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Unit 0 tracks the label at the end, unit 1 in the mean, unit 2 is constant."""
    random = np.random.default_rng(0)
    final, mean = random.standard_normal((2, len(labels), 8)).astype(np.float32)
    final[:, 0] += 2 * labels
    mean[:, 1] -= 2 * labels
    final[:, 2] = mean[:, 2] = 0.5
    return {("lstm.0.hook_c", "final"): final, ("lstm.0.hook_c", "mean"): mean}


def test_units_that_track_the_label_anywhere_are_no_placebos(
    recurrent: MLSTM, statistics: Statistics
) -> None:
    labels = np.arange(400) % 2
    states = planted_states(labels)
    placebos = placebo_units(recurrent, statistics, states, labels, count=5, seed=0)
    units = {int(np.flatnonzero(placebo.write)[0]) for placebo in placebos}
    assert units == {3, 4, 5, 6, 7}
    assert {placebo.sign for placebo in placebos} == {1, -1}
    for unit in units:
        for acts in states.values():
            assert abs(np.corrcoef(acts[:, unit], labels)[0, 1]) < 0.3
    with pytest.raises(ValueError, match="5 units of lstm.0.hook_c correlate under 0.3"):
        placebo_units(recurrent, statistics, states, labels, count=6, seed=0)


def test_placebos_are_drawn_by_the_seed(recurrent: MLSTM, statistics: Statistics) -> None:
    labels = np.arange(400) % 2
    draws = [
        [p.origin for p in placebo_units(
            recurrent, statistics, planted_states(labels), labels, count=2, seed=seed
        )]
        for seed in (0, 0, 1, 2, 3)
    ]  # fmt: skip
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1


def test_states_of_another_hook_do_not_say_what_tracks_at_this_one(
    recurrent: MLSTM, statistics: Statistics
) -> None:
    states = read_states(recurrent, TEXTS, ["hook_h"])
    with pytest.raises(LookupError, match="read that hook's states too"):
        placebo_units(recurrent, statistics, states, np.array([0, 1, 0]), seed=0)


def test_random_directions_have_the_covariance_of_the_activations(recurrent: MLSTM) -> None:
    covariance = np.diag([9.0, 4.0, 1.0, 0, 0, 0, 0, 0])
    covariance[0, 1] = covariance[1, 0] = 3.0
    statistics = Statistics(recurrent.digest, "lstm.0.hook_c", 10, np.zeros(8), covariance)
    directions = np.stack(
        [p.write for p in placebo_directions(recurrent, statistics, count=1000, seed=0)]
    )
    # Only where a direction points is kept, so compare with drawn and normalised ones.
    drawn = np.random.default_rng(1).multivariate_normal(np.zeros(8), covariance, size=30000)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    assert directions.T @ directions / 1000 == pytest.approx(drawn.T @ drawn / 30000, abs=0.05)
    assert np.abs(directions.mean(axis=0)).max() < 0.1, "no side is preferred"


def test_a_placebo_lies_at_the_features_hook_of_the_same_network(
    recurrent: MLSTM, statistics: Statistics
) -> None:
    feature = unit_feature(recurrent, statistics, 0)
    check_comparable(recurrent, feature, unit_feature(recurrent, statistics, 1))
    at_h = unit_feature(recurrent, measure_statistics(recurrent, TEXTS, "hook_h"), 1)
    with pytest.raises(ValueError, match="unit 1 lies at lstm.0.hook_h and the feature at"):
        check_comparable(recurrent, feature, at_h)
    with pytest.raises(ValueError, match="was found on network"):
        check_comparable(new_mlstm(d_hidden=8, d_embed=4, seed=9), feature, feature)

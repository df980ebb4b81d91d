"""What each edit does to activations, step by step, and that it leaves no trace."""

from dataclasses import replace

import numpy as np
import pytest
import torch

HOOK = "lstm.0.hook_c"
TEXTS = ["a fine film", "what a bore it was", "the lamp fell", "rain, rain and more rain"] * 3


@pytest.fixture
def network():
    from worldscope.networks.loading import new_mlstm

    return new_mlstm(d_hidden=6, d_embed=4).requires_grad_(False)


@pytest.fixture
def statistics(network):
    from worldscope.features.statistics import measure_statistics

    return measure_statistics(network, TEXTS)


@pytest.fixture(params=["unit", "direction"])
def feature(request: pytest.FixtureRequest, network, statistics):
    from worldscope.features.feature import direction_feature, unit_feature

    if request.param == "unit":
        return unit_feature(network, statistics, 3, sign=-1, label="x")
    return direction_feature(network, statistics, np.arange(-2.0, 4.0, dtype=np.float32))


def states(network, text: str = "the music was loud") -> torch.Tensor:
    return network(network.to_symbols(text), read=[HOOK]).reads[HOOK][0]


@pytest.mark.parametrize("strength", [-3.0, 0.5, 2.0])
def test_clamp_holds_the_value_at_every_step(network, feature, strength: float) -> None:
    from worldscope.steering.edits import Clamp, steer

    with steer(network, Clamp(feature, strength)):
        values = feature.values(states(network).numpy())
    target = feature.mean + feature.sign * strength * feature.sd
    np.testing.assert_allclose(values, target, atol=1e-5)


@pytest.mark.parametrize("kind", ["Clamp", "Add"])
def test_directions_of_either_precision_steer_alike(network, feature, kind: str) -> None:
    from worldscope.steering import edits

    axis = np.eye(6)[3]
    seen = []
    for dtype in (np.float32, np.float64):
        typed = replace(feature, read=axis.astype(dtype), write=axis.astype(dtype))
        with edits.steer(network, getattr(edits, kind)(typed, 2.0)):
            seen.append(states(network))
    assert torch.equal(*seen)


@pytest.mark.parametrize("kind", ["Clamp", "Add"])
def test_an_edit_moves_activations_along_the_written_direction_only(feature, kind: str) -> None:
    from worldscope.networks.hooked import HookPoint
    from worldscope.steering import edits

    acts = torch.randn(5, 1, 6)
    moved = (getattr(edits, kind)(feature, 2.0)(acts, HookPoint(HOOK, 6)) - acts).squeeze(1).numpy()
    along = np.outer(moved @ feature.read, feature.write)
    np.testing.assert_allclose(moved, along, atol=1e-5)


def test_add_moves_every_row_by_so_many_sd_towards_the_label(feature) -> None:
    from worldscope.networks.hooked import HookPoint
    from worldscope.steering.edits import Add

    acts = torch.randn(5, 1, 6)
    moved = (Add(feature, 1.5)(acts, HookPoint(HOOK, 6)) - acts).squeeze(1).numpy()
    amount = feature.sign * 1.5 * feature.sd
    np.testing.assert_allclose(moved, np.tile(amount * feature.write, (5, 1)), atol=1e-5)


def test_adding_nothing_changes_nothing_to_the_bit(network, feature) -> None:
    from worldscope.steering.edits import Add, steer

    plain = states(network)
    with steer(network, Add(feature, 0.0)):
        assert torch.equal(states(network), plain)


def test_ablating_is_clamping_at_the_mean(network, feature) -> None:
    from worldscope.steering.edits import Ablate, Clamp, steer

    with steer(network, Ablate(feature)):
        ablated = states(network)
    with steer(network, Clamp(feature, 0.0)):
        assert torch.equal(states(network), ablated)


@pytest.mark.parametrize("kind", ["Clamp", "Add"])
def test_a_flipped_feature_pushes_the_other_way(network, feature, kind: str) -> None:
    from worldscope.steering import edits

    edit, plain = getattr(edits, kind), states(network)
    with edits.steer(network, edit(feature, 2.0)):
        one = states(network)
    with edits.steer(network, edit(feature.flipped("not x"), -2.0)):
        assert torch.equal(states(network), one)
    assert not torch.equal(one, plain)


def test_clamping_a_unit_leaves_the_others_as_they_come_out_of_that_step(
    network, statistics
) -> None:
    """Seen by an edit that comes after the clamp, at the step itself."""
    from worldscope.features.feature import unit_feature
    from worldscope.steering.edits import Clamp, steer

    before, after = [], []
    record = (HOOK, lambda value, hook: before.append(value.clone()))
    again = (HOOK, lambda value, hook: after.append(value.clone()))
    clamp = Clamp(unit_feature(network, statistics, 3), 2.0)
    with network.hooks([record]), steer(network, clamp), network.hooks([again]):
        states(network)
    others = [0, 1, 2, 4, 5]
    assert torch.equal(torch.cat(before)[..., others], torch.cat(after)[..., others])
    assert not torch.equal(torch.cat(before)[..., 3], torch.cat(after)[..., 3])


@pytest.mark.parametrize("strength", [float("nan"), float("inf")])
def test_a_strength_that_is_not_finite_is_refused(feature, strength: float) -> None:
    from worldscope.steering.edits import Add, Clamp

    for edit in (Add, Clamp):
        with pytest.raises(ValueError, match=f"strength is {strength}; it must be a finite"):
            edit(feature, strength)


def test_steering_changes_what_is_written_and_ends_with_the_block(network, feature) -> None:
    from worldscope.steering.edits import Clamp, steer

    plain = network.generate("the", max_new=30, seeds=range(5))
    with steer(network, Clamp(feature, 30.0)):
        steered = network.generate("the", max_new=30, seeds=range(5))
    assert steered != plain
    assert network.generate("the", max_new=30, seeds=range(5)) == plain


def test_an_exception_inside_the_block_ends_the_steering(network, feature) -> None:
    from worldscope.steering.edits import Clamp, steer

    plain = states(network)
    with pytest.raises(KeyError), steer(network, Clamp(feature, 3.0)):
        raise KeyError("stopped")
    assert torch.equal(states(network), plain)


def test_two_edits_apply_in_the_order_given(network, statistics) -> None:
    from worldscope.features.feature import unit_feature
    from worldscope.steering.edits import Add, Clamp, steer

    unit = unit_feature(network, statistics, 1)
    with steer(network, Clamp(unit, 1.0), Add(unit, 2.0)):
        both = states(network)[:, 1].numpy()
    with steer(network, Add(unit, 2.0), Clamp(unit, 1.0)):
        clamped = states(network)[:, 1].numpy()
    np.testing.assert_allclose(both, unit.mean + 3 * unit.sd, atol=1e-5)
    np.testing.assert_allclose(clamped, unit.mean + unit.sd, atol=1e-5)


def test_a_feature_of_another_network_and_no_edit_are_refused(network, feature) -> None:
    from worldscope.networks.loading import new_mlstm
    from worldscope.steering.edits import Clamp, steer

    other = new_mlstm(d_hidden=6, d_embed=4, seed=1)
    with pytest.raises(ValueError, match="find it again there"), steer(other, Clamp(feature, 1.0)):
        pass
    with pytest.raises(ValueError, match="nothing to steer"), steer(network):
        pass

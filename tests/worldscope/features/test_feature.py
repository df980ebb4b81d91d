"""A feature reads and writes one direction, belongs to one network, and survives the disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

TEXTS = ["a fine film", "what a bore it was", "the lamp fell", "rain, rain and more rain"] * 3


@pytest.fixture
def network():
    from worldscope.networks.loading import new_mlstm

    return new_mlstm(d_hidden=6, d_embed=4).requires_grad_(False)


@pytest.fixture
def statistics(network):
    from worldscope.features.statistics import measure_statistics

    return measure_statistics(network, TEXTS)


def all_states(network, name: str = "lstm.0.hook_c") -> np.ndarray:
    """Activations of every symbol of every text, read one text at a time."""
    rows = [network(network.to_symbols(text), read=[name]).reads[name][0] for text in TEXTS]
    return torch.cat(rows).double().numpy()


def test_statistics_are_the_moments_of_all_symbols(network, statistics) -> None:
    rows = all_states(network)
    assert statistics.count == len(rows)
    np.testing.assert_allclose(statistics.mean, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(statistics.covariance, np.cov(rows.T, bias=True), atol=1e-6)
    np.testing.assert_allclose(statistics.sd, rows.std(axis=0), atol=1e-6)


def test_a_small_spread_far_from_zero_is_not_lost_to_rounding(network) -> None:
    from worldscope.features.statistics import measure_statistics

    with network.hooks([("hook_u", lambda value, hook: value / 100 + 50)]):
        measured = measure_statistics(network, TEXTS, "hook_u")
        rows = all_states(network, "lstm.0.hook_u")
    np.testing.assert_allclose(measured.mean, rows.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(measured.sd, rows.std(axis=0), rtol=1e-3)


def test_a_direction_has_the_mean_and_sd_of_its_projection(network, statistics) -> None:
    from worldscope.features.feature import direction_feature

    direction = np.arange(1.0, 7.0, dtype=np.float32)
    feature = direction_feature(network, statistics, direction)
    projected = all_states(network) @ (direction / np.linalg.norm(direction))
    assert feature.mean == pytest.approx(projected.mean(), abs=1e-6)
    assert feature.sd == pytest.approx(projected.std(), abs=1e-6)
    np.testing.assert_allclose(feature.values(all_states(network)), projected, atol=1e-6)


def test_a_feature_is_the_same_after_saving_and_loading(
    network, statistics, tmp_path: Path
) -> None:
    from worldscope.features.feature import load_feature, unit_feature

    feature = unit_feature(network, statistics, 2, sign=-1, label="naïve 'joy'")
    feature.save(tmp_path / "f")
    loaded = load_feature(tmp_path / "f")
    np.testing.assert_array_equal(loaded.read, feature.read)
    np.testing.assert_array_equal(loaded.write, feature.write)
    for name in ("network", "hook", "mean", "sd", "sign", "label", "origin"):
        assert getattr(loaded, name) == getattr(feature, name)


def test_saving_again_replaces_the_feature_and_leaves_nothing_else(
    network, statistics, tmp_path: Path
) -> None:
    from worldscope.features.feature import load_feature, unit_feature

    for unit in (1, 4):
        unit_feature(network, statistics, unit).save(tmp_path)
    assert load_feature(tmp_path).origin == "unit 4"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "directions.safetensors",
        "feature.json",
    ]


def test_a_folder_without_a_feature_is_refused(network, statistics, tmp_path: Path) -> None:
    from worldscope.features.feature import load_feature, unit_feature

    with pytest.raises(FileNotFoundError, match="holds no feature: feature.json is missing"):
        load_feature(tmp_path)
    unit_feature(network, statistics, 1).save(tmp_path)
    (tmp_path / "directions.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no feature: directions.safetensors is missing"):
        load_feature(tmp_path)


@pytest.mark.parametrize("name", ["feature.json", "directions.safetensors"])
def test_a_truncated_file_is_refused(network, statistics, tmp_path: Path, name: str) -> None:
    from worldscope.features.feature import load_feature, unit_feature

    unit_feature(network, statistics, 1).save(tmp_path)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"holds a damaged feature \(.+\); save it again"):
        load_feature(tmp_path)


def test_a_file_without_a_field_is_refused(network, statistics, tmp_path: Path) -> None:
    from worldscope.features.feature import load_feature, unit_feature

    unit_feature(network, statistics, 1).save(tmp_path)
    (tmp_path / "feature.json").write_text('{"label": "x"}\n')
    with pytest.raises(ValueError, match=r"damaged feature \(.*missing.*\); save it again"):
        load_feature(tmp_path)


def test_a_file_that_is_not_text_is_refused(network, statistics, tmp_path: Path) -> None:
    from worldscope.features.feature import load_feature, unit_feature

    unit_feature(network, statistics, 1).save(tmp_path)
    (tmp_path / "feature.json").write_bytes(b"\xff\xff")
    with pytest.raises(ValueError, match=r"holds a damaged feature \(.+\); save it again"):
        load_feature(tmp_path)


@pytest.mark.parametrize("unit", [-1, 6])
def test_a_unit_out_of_range_is_refused(network, statistics, unit: int) -> None:
    from worldscope.features.feature import unit_feature

    with pytest.raises(IndexError, match=rf"units 0 to 5; there is no unit {unit}"):
        unit_feature(network, statistics, unit)


def test_a_feature_of_another_network_is_refused(network, statistics) -> None:
    from worldscope.features.feature import unit_feature
    from worldscope.networks.loading import new_mlstm

    other = new_mlstm(d_hidden=6, d_embed=4, seed=1)
    feature = unit_feature(network, statistics, 0)
    feature.check_fits(network)
    with pytest.raises(ValueError, match=f"not on {other.digest}; find it again there"):
        feature.check_fits(other)


@pytest.mark.parametrize("width", [5, 6])
def test_statistics_of_another_network_are_refused(network, statistics, width: int) -> None:
    from worldscope.features.feature import unit_feature
    from worldscope.networks.loading import new_mlstm

    other = new_mlstm(d_hidden=width, d_embed=4, seed=1)
    said = f"are of network {network.digest}, not of {other.digest}; measure them on the network"
    with pytest.raises(ValueError, match=said):
        unit_feature(other, statistics, 5)


def test_a_mean_that_is_not_a_number_is_refused(network, statistics) -> None:
    from dataclasses import replace

    from worldscope.features.feature import unit_feature

    feature = unit_feature(network, statistics, 0)
    with pytest.raises(ValueError, match="unit 0 has mean nan; it must be a finite number"):
        replace(feature, mean=float("nan"))


def test_a_zero_direction_and_a_constant_unit_cannot_become_features(network, statistics) -> None:
    from dataclasses import replace

    from worldscope.features.feature import direction_feature, unit_feature

    with pytest.raises(ValueError, match="norm 0"):
        direction_feature(network, statistics, np.zeros(6, dtype=np.float32))
    with pytest.raises(ValueError, match="norm nan"):
        direction_feature(network, statistics, np.full(6, np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match=r"shape \(5,\) .* needs \(6,\)"):
        direction_feature(network, statistics, np.ones(5, dtype=np.float32))
    still = replace(statistics, covariance=np.zeros((6, 6)))
    with pytest.raises(ValueError, match="a constant cannot be steered"):
        unit_feature(network, still, 0)


def test_what_is_written_must_move_what_is_read_by_one(network, statistics) -> None:
    from dataclasses import replace

    from worldscope.features.feature import unit_feature

    feature = unit_feature(network, statistics, 0)
    with pytest.raises(ValueError, match="read @ write is 2; it must be 1"):
        replace(feature, write=2 * feature.write)


@pytest.mark.parametrize("sign", [0, 2])
def test_a_sign_is_one_or_minus_one(network, statistics, sign: int) -> None:
    from worldscope.features.feature import unit_feature

    with pytest.raises(ValueError, match=f"sign is {sign}; it must be 1 or -1"):
        unit_feature(network, statistics, 0, sign=sign)


def test_a_push_is_in_standard_deviations_towards_the_label(network, statistics) -> None:
    from worldscope.features.feature import unit_feature

    feature = unit_feature(network, statistics, 0, sign=-1)
    assert feature.push(2.0) == -2 * feature.sd == -feature.flipped("not it").push(2.0)


def test_activations_of_another_width_are_refused(network, statistics) -> None:
    from worldscope.features.feature import unit_feature

    with pytest.raises(ValueError, match=r"are 5 wide; unit 0 at lstm.0.hook_c reads 6"):
        unit_feature(network, statistics, 0).values(np.zeros((3, 5), dtype=np.float32))

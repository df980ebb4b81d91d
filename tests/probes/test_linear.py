"""A fitted probe can be applied, saved and loaded."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from probes.linear import LinearProbe


@pytest.fixture
def probe() -> LinearProbe:
    weight = np.array([1.0, 0.0, -2.0], dtype=np.float32)
    return LinearProbe(
        weight,
        bias=0.1,
        strength=0.5,
        strengths=(0.25, 0.5),
        dev_scores=(0.8, 0.9),
        nonzeros=(1, 2),
    )


ACTS = np.array([[1, 5, 0], [0, 5, 1], [3, 0, 1]], dtype=np.float32)


def test_scores_are_log_odds_and_labels_their_sign(probe: LinearProbe) -> None:
    assert probe.scores(ACTS) == pytest.approx(np.array([1.1, -1.9, 1.1]))
    assert probe.predict(ACTS).tolist() == [1, 0, 1]
    assert probe.accuracy(ACTS, np.array([1, 1, 1])) == pytest.approx(2 / 3)
    assert probe.n_nonzero == 2


def test_a_saved_probe_is_loaded_to_the_bit(probe: LinearProbe, tmp_path: Path) -> None:
    probe.save(tmp_path / "probe.safetensors")
    loaded = LinearProbe.load(tmp_path / "probe.safetensors")
    assert loaded.weight.dtype == probe.weight.dtype
    assert (loaded.weight == probe.weight).all()
    for name in ("bias", "strength", "strengths", "dev_scores", "nonzeros"):
        assert getattr(loaded, name) == getattr(probe, name)


def test_another_file_is_not_taken_for_a_probe(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no linear probe but other tensors"):
        LinearProbe.load(tmp_path / "other.safetensors")


def test_activations_of_another_width_are_refused(probe: LinearProbe) -> None:
    with pytest.raises(ValueError, match="have 2 units and the probe has 3"):
        probe.scores(ACTS[:, :2])

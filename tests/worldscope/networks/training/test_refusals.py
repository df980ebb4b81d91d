"""A training goes on only from a whole checkpoint of its own; else it says why."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from worldscope.networks.codecs import BytesCodec
from worldscope.networks.corpus import pack
from worldscope.networks.loading import new_mlstm
from worldscope.networks.training import (
    Trainer,
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"lr": 0.01}, r"was trained with lr 0\.02, not 0\.01; use the same or another folder"),
        ({"seed": 1}, "was trained with seed 0, not 1"),
        ({"batch": 3}, "was trained with batch 4, not 3"),
        ({"bf16": False}, "was trained with bf16 True, not False"),
    ],
)
def test_another_configuration_is_refused(
    small: Any, tmp_path: Path, whole: Path, change: dict, sentence: str
) -> None:
    out = shutil.copytree(whole, tmp_path / "copy")
    with pytest.raises(ValueError, match=sentence):
        small.trainer(out, replace(small.config, **change))


def test_another_text_is_refused(small: Any, tmp_path: Path) -> None:
    small.run(tmp_path, until=2)
    other = pack([*small.texts, "one more."], BytesCodec(), seed=0)
    with pytest.raises(ValueError, match="was trained on another text; choose another folder"):
        Trainer(new_mlstm(d_hidden=10, d_embed=6), other, other, small.config, tmp_path)


def test_other_weights_to_start_from_are_refused(small: Any, tmp_path: Path) -> None:
    small.run(tmp_path, until=2)
    with pytest.raises(ValueError, match="was started from other weights; give the same network"):
        small.trainer(tmp_path, seed=1)


def test_another_network_is_refused_in_one_sentence(small: Any, tmp_path: Path) -> None:
    small.run(tmp_path, until=2)
    wider = new_mlstm(d_hidden=11, d_embed=6)
    with pytest.raises(ValueError, match="was trained with network .*d_hidden=10") as caught:
        Trainer(wider, small.corpus(), small.corpus(), small.config, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("factor", [0.5, 2, 100])
def test_a_training_whose_rate_has_fallen_keeps_its_length(
    small: Any, tmp_path: Path, factor: float
) -> None:
    """Otherwise it would not be the training that the new length describes."""
    small.run(tmp_path, until=18)
    other = replace(small.config, total_bytes=round(factor * small.config.total_bytes))
    with pytest.raises(ValueError, match="was trained with total_bytes 640, not"):
        small.trainer(tmp_path, other)


@pytest.mark.parametrize("name", ["training.json", "optimiser.safetensors", "model.safetensors"])
@pytest.mark.parametrize("missing", [True, False])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(
    small: Any, tmp_path: Path, name: str, missing: bool
) -> None:
    small.run(tmp_path, until=2)
    file = tmp_path / "checkpoint" / name
    if missing:
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size - 20)
    with pytest.raises((ValueError, FileNotFoundError), match="copy (it|the whole)") as caught:
        small.trainer(tmp_path)
    assert "\n" not in str(caught.value)
    assert "checkpoint" in str(caught.value)


@pytest.mark.parametrize("key", ["step", "config", "text"])
def test_a_checkpoint_that_lacks_something_is_refused_in_one_sentence(
    small: Any, tmp_path: Path, key: str
) -> None:
    small.run(tmp_path, until=2)
    file = tmp_path / "checkpoint" / "training.json"
    described = json.loads(file.read_text())
    file.write_text(json.dumps({k: value for k, value in described.items() if k != key}))
    with pytest.raises(ValueError, match=rf"not a whole checkpoint \(it lacks {key}\); copy it"):
        small.trainer(tmp_path)
    file.write_text("[]")
    with pytest.raises(ValueError, match=r"not a whole checkpoint \(training\.json is not a JSON"):
        small.trainer(tmp_path)


def test_a_checkpoint_without_a_moment_is_refused_in_one_sentence(
    small: Any, tmp_path: Path
) -> None:
    small.run(tmp_path, until=2)
    file = tmp_path / "checkpoint" / "optimiser.safetensors"
    tensors = load_file(file)
    del tensors["bias.exp_avg"]
    save_file(tensors, file)
    with pytest.raises(ValueError, match=r"not a whole checkpoint \(it lacks bias\.exp_avg\)"):
        small.trainer(tmp_path)

"""Facts about the settings of a training."""

import math
from dataclasses import replace

import pytest

from worldscope.networks.train_config import TrainConfig


@pytest.mark.parametrize("field", ["total_bytes", "batch", "chunk", "lr", "clip"])
def test_what_must_be_above_zero_is_refused_at_zero(field: str) -> None:
    with pytest.raises(ValueError, match=rf"{field} is 0.*; it must be above 0"):
        replace(TrainConfig(), **{field: 0.0 if field in ("lr", "clip") else 0})


def test_a_rate_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="lr is nan"):
        TrainConfig(lr=math.nan)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_the_rate_falls_over_a_part_of_the_training(fraction: float) -> None:
    with pytest.raises(ValueError, match="decay_fraction is .*; it must be from 0 to 1"):
        TrainConfig(decay_fraction=fraction)


@pytest.mark.parametrize("megabytes", [-5.0, 0.0, math.nan, math.inf])
def test_a_snapshot_is_taken_after_some_text(megabytes: float) -> None:
    with pytest.raises(ValueError, match=f"a snapshot is at {megabytes} MB; it must be above 0"):
        TrainConfig(snapshots=(1.0, megabytes))

"""Each step of a training is as long as its rate says, and together they learn."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from worldscope.networks.codecs import BytesCodec
from worldscope.networks.corpus import pack
from worldscope.networks.loading import load_network, new_mlstm
from worldscope.networks.train_config import TrainConfig
from worldscope.networks.training import (
    Progress,
    Trainer,
    bits_per_byte,
    learning_rate,
)


def test_the_loss_goes_down_and_the_network_that_is_left_has_learned(
    small: Any, tmp_path: Path
) -> None:
    config = replace(small.config, total_bytes=200 * 4 * 8)
    seen = small.run(tmp_path, config)
    assert [progress.step for progress in seen] == list(range(1, 201))
    assert seen[0].bits_per_byte == pytest.approx(8, abs=0.7)
    assert seen[-1].bits_per_byte < 2
    assert seen[-1].bytes_seen == 200 * 4 * 8
    held = pack(small.texts[:1], BytesCodec())
    final = load_network(tmp_path)
    assert bits_per_byte(final, held) < 0.4 * bits_per_byte(new_mlstm(d_hidden=10), held)
    assert bits_per_byte(final, held) == pytest.approx(seen[-1].validation_bits_per_byte, rel=0.02)


def test_the_state_is_carried_on_and_is_zero_where_a_pass_over_the_text_begins(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = small.trainer(tmp_path)
    before, after = [], []
    training_loss = at_work.network.training_loss

    def spy(symbols: Tensor, state: tuple[Tensor, Tensor]) -> tuple:
        loss, carried = training_loss(symbols, state)
        before.append(state)
        after.append(carried)
        return loss, carried

    monkeypatch.setattr(at_work.network, "training_loss", spy)
    at_work.run(lambda _: None)
    one_pass = at_work.streams.chunks_per_pass
    assert one_pass == 12 < small.steps
    for step in range(small.steps):
        at_start = torch.stack(before[step])
        if step % one_pass == 0:
            assert (at_start == 0).all()
        else:
            assert torch.equal(at_start, torch.stack(after[step - 1]))
            assert (at_start != 0).all()


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    config = TrainConfig(lr=0.5, warmup_steps=10, decay_fraction=0.2)
    rates = np.asarray([learning_rate(config, step, 100) for step in range(100)])
    np.testing.assert_allclose(rates[:10], 0.5 * np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:81], 0.5)
    np.testing.assert_allclose(rates[80:], 0.5 * np.arange(20, 0, -1) / 20)


@given(warmup=st.integers(0, 50), decay=st.floats(0, 1), steps=st.integers(1, 200), data=st.data())
def test_the_rate_is_never_above_its_peak_nor_zero_before_the_end(
    warmup: int, decay: float, steps: int, data: st.DataObject
) -> None:
    config = TrainConfig(lr=2.0, warmup_steps=warmup, decay_fraction=decay)
    step = data.draw(st.integers(0, steps - 1))
    assert 0 < learning_rate(config, step, steps) <= 2.0


def test_reported_rates_are_those_of_the_schedule(small: Any, whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    expected = [learning_rate(small.config, step, small.steps) for step in range(small.steps)]
    assert [row["lr"] for row in rows] == expected
    assert [row["bytes_seen"] for row in rows] == [32 * step for step in range(1, small.steps + 1)]
    assert rows[-1]["validation_bits_per_byte"] is not None


def test_the_first_step_is_as_long_as_its_rate_says(small: Any, tmp_path: Path) -> None:
    """Adam's first step moves every weight that has a gradient by the rate."""
    before = new_mlstm(d_hidden=10, d_embed=6).state_dict()
    (first,) = small.run(tmp_path, until=1)
    assert first.lr == small.config.lr / small.config.warmup_steps
    for name, tensor in load_network(tmp_path).state_dict().items():
        assert (tensor - before[name]).abs().max().item() == pytest.approx(first.lr, rel=0.01)


def test_snapshots_hold_the_weights_of_their_moment(
    small: Any, tmp_path: Path, whole: Path
) -> None:
    config = replace(small.config, snapshots=(6 * 32 / 1e6, 1e-9, 20 * 32 / 1e6))
    small.run(tmp_path / "all", config)
    snapshots = tmp_path / "all" / "snapshots"
    assert {folder.name for folder in snapshots.iterdir()} == {"0.000192MB", "1e-09MB", "0.00064MB"}
    for steps, name in ((1, "1e-09MB"), (6, "0.000192MB")):
        small.run(tmp_path / name, until=steps)
        assert load_network(snapshots / name).digest == load_network(tmp_path / name).digest
    assert load_network(snapshots / "0.00064MB").digest == load_network(whole).digest


@pytest.mark.parametrize("parameter", ["b_out", "bias"])
def test_a_loss_that_is_not_a_number_stops_before_the_weights_change(
    small: Any, tmp_path: Path, parameter: str
) -> None:
    at_work = small.trainer(tmp_path)
    with torch.no_grad():
        getattr(at_work.network, parameter)[0] = torch.nan
    before = at_work.network.digest
    with pytest.raises(FloatingPointError, match=r"at step 0 the loss is nan .*lower lr \(0\.02\)"):
        at_work.run(lambda _: None)
    assert at_work.network.digest == before
    assert not (tmp_path / "checkpoint").exists()


def test_a_gradient_that_overflows_stops_it_too(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = small.trainer(tmp_path)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_, **__: torch.tensor(torch.inf))
    before = at_work.network.digest
    with pytest.raises(FloatingPointError, match="its gradient's norm inf"):
        at_work.run(lambda _: None)
    assert at_work.network.digest == before


def test_the_gradient_is_clipped_to_its_norm(small: Any, tmp_path: Path) -> None:
    """Adam divides a common factor out of its first step, so the moments show it, not the step."""
    at_work = small.trainer(tmp_path, replace(small.config, clip=1e-3))
    at_work.run(lambda _: None, until=1)
    moments = at_work.optimiser.state_dict()["state"].values()
    norm = sum((moment["exp_avg"] / 0.1).double().pow(2).sum() for moment in moments) ** 0.5
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_captured_graph_trains_like_the_steps_it_was_captured_from(
    small: Any, tmp_path: Path
) -> None:
    config = replace(small.config, bf16=False)
    text, held = small.corpus(), pack(small.texts[:1], BytesCodec())
    seen: dict[str, list[Progress]] = {}
    for device in ("cpu", "cuda"):
        network = new_mlstm(d_hidden=10, d_embed=6).to(device)
        at_work = Trainer(network, text, held, config, tmp_path / device)
        at_work.run(seen.setdefault(device, []).append)
    by_device = [[progress.bits_per_byte for progress in seen[d]] for d in ("cpu", "cuda")]
    assert by_device[1] == pytest.approx(by_device[0], rel=1e-3)

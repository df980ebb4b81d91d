"""Facts about training: it learns, and a run that is stopped anyhow goes on to the bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from worldscope.networks import training
from worldscope.networks.codecs import BPECodec, BytesCodec
from worldscope.networks.corpus import Corpus, pack
from worldscope.networks.loading import load_network, new_mlstm
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.train_config import TrainConfig
from worldscope.networks.training import (
    Progress,
    Trainer,
    bits_per_byte,
    learning_rate,
    split_texts,
)

TEXTS = ["good film. " * 8, "bad film! " * 9, "a good, good book. " * 5, "the café is bad. " * 6]
CONFIG = TrainConfig(
    total_bytes=20 * 4 * 8, batch=4, chunk=8, lr=0.02, warmup_steps=4, save_seconds=1e9
)
STEPS = 20


def corpus() -> Corpus:
    return pack(TEXTS, BytesCodec(), seed=0)


def trainer(out: Path, config: TrainConfig = CONFIG, seed: int = 0) -> Trainer:
    network = new_mlstm(d_hidden=10, d_embed=6, seed=seed)
    return Trainer(network, corpus(), pack(TEXTS[:1], BytesCodec()), config, out)


def run(out: Path, config: TrainConfig = CONFIG, until: int | None = None) -> list[Progress]:
    """Starts or resumes in a folder; gives what was reported."""
    seen: list[Progress] = []
    trainer(out, config).run(seen.append, until=until)
    return seen


def losses(out: Path) -> list[tuple[int, float]]:
    """Step and loss of every line of the log."""
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(row["step"], row["bits_per_byte"]) for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was never stopped."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole")
    run(out)
    return out


def assert_same(out: Path, whole: Path) -> None:
    """The same losses to the bit, every step once, and the same weights."""
    assert losses(out) == losses(whole)
    assert [step for step, _ in losses(out)] == list(range(1, STEPS + 1))
    assert load_network(out).digest == load_network(whole).digest


def test_the_loss_goes_down_and_the_network_that_is_left_has_learned(tmp_path: Path) -> None:
    config = replace(CONFIG, total_bytes=200 * 4 * 8)
    seen = run(tmp_path, config)
    assert [progress.step for progress in seen] == list(range(1, 201))
    assert seen[0].bits_per_byte == pytest.approx(8, abs=0.7)
    assert seen[-1].bits_per_byte < 2
    assert seen[-1].bytes_seen == 200 * 4 * 8
    held = pack(TEXTS[:1], BytesCodec())
    final = load_network(tmp_path)
    assert bits_per_byte(final, held) < 0.4 * bits_per_byte(new_mlstm(d_hidden=10), held)
    assert bits_per_byte(final, held) == pytest.approx(seen[-1].validation_bits_per_byte, rel=0.02)


def test_the_same_seed_gives_the_same_training(tmp_path: Path, whole: Path) -> None:
    run(tmp_path)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("stop", [1, 7, 12, 19])
def test_a_stopped_training_goes_on_with_the_same_losses_to_the_bit(
    tmp_path: Path, stop: int, bf16: bool
) -> None:
    """Stops within a pass over the text, at its end, and in the part where the rate falls."""
    config = replace(CONFIG, bf16=bf16)
    run(tmp_path / "whole", config)
    first = run(tmp_path / "parts", config, until=stop)
    assert [progress.step for progress in first] == list(range(1, stop + 1))
    second = run(tmp_path / "parts", config)
    assert [progress.step for progress in second] == list(range(stop + 1, STEPS + 1))
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_the_state_is_carried_on_and_is_zero_where_a_pass_over_the_text_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = trainer(tmp_path)
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
    assert one_pass == 12 < STEPS
    for step in range(STEPS):
        at_start = torch.stack(before[step])
        if step % one_pass == 0:
            assert (at_start == 0).all()
        else:
            assert torch.equal(at_start, torch.stack(after[step - 1]))
            assert (at_start != 0).all()


def test_a_training_that_has_ended_stays_as_it_is(tmp_path: Path, whole: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "copy")
    assert run(out) == []
    assert run(out, until=0) == []
    assert_same(out, whole)


def test_steps_beyond_the_checkpoint_are_logged_once_after_all(tmp_path: Path, whole: Path) -> None:
    run(tmp_path, until=6)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 7, "bits_per_byte": 1.0}) + '\n{"step": 8, "bits_')
    run(tmp_path)
    assert_same(tmp_path, whole)


def test_the_log_of_a_start_that_saved_nothing_is_begun_anew(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "bits_per_byte": 9.0}\n')
    run(tmp_path)
    assert_same(tmp_path, whole)


PROGRAM = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from worldscope.networks.codecs import BytesCodec
from worldscope.networks.corpus import pack
from worldscope.networks.loading import new_mlstm
from worldscope.networks.train_config import TrainConfig
from worldscope.networks.training import Trainer
texts, out = {texts!r}, Path(sys.argv[1])
network = new_mlstm(d_hidden=10, d_embed=6)
corpus, validation = pack(texts, BytesCodec(), seed=0), pack(texts[:1], BytesCodec())
Trainer(network, corpus, validation, {config!r}, out).run(lambda progress: None)
"""


def test_a_killed_training_goes_on_with_the_same_losses_to_the_bit(
    tmp_path: Path, repository: Path
) -> None:
    """A process that saves at every step is killed with SIGKILL, most likely while it saves."""
    config = replace(CONFIG, total_bytes=120 * 4 * 8, save_seconds=0.0)
    out, log = tmp_path / "killed", tmp_path / "killed" / "log.jsonl"
    program = PROGRAM.format(texts=TEXTS, config=config)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(out)], cwd=repository, stderr=subprocess.PIPE
    )
    while not (log.exists() and log.read_bytes().count(b"\n") >= 5):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 0 < trainer(out, config).step < 120
    run(out, replace(config, save_seconds=1e9))
    run(tmp_path / "whole", replace(config, save_seconds=1e9))
    assert losses(out) == losses(tmp_path / "whole")
    assert load_network(out).digest == load_network(tmp_path / "whole").digest


def dying(after: int) -> Callable[[Callable], Callable]:
    """Makes functions that together stop the program at their call number `after`."""
    calls = iter(range(1_000_000))

    def wrap(function: Callable) -> Callable:
        def called(*args: Any, **settings: Any) -> Any:
            if next(calls) == after:
                raise KeyboardInterrupt
            return function(*args, **settings)

        return called

    return wrap


def test_a_save_that_is_cut_anywhere_leaves_a_checkpoint(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops before each thing that a save does to the disk, in turn, until it is through."""
    run(tmp_path / "start", until=3)
    after, through = -1, False
    while not through:
        after += 1
        out = shutil.copytree(tmp_path / "start", tmp_path / f"cut-{after}")
        at_work = trainer(out)
        at_work.run(lambda _: None, until=0)
        for _ in range(2):
            at_work._advance()
        with monkeypatch.context() as patch:
            wrap = dying(after)
            for name in ("save_network", "save_file", "write_json"):
                patch.setattr(training, name, wrap(getattr(training, name)))
            patch.setattr(training.shutil, "rmtree", wrap(shutil.rmtree))
            for name in ("rename", "replace"):
                patch.setattr(Path, name, wrap(getattr(Path, name)))
            with suppress(KeyboardInterrupt):
                at_work.save()
                through = True
        assert trainer(out).step in ((5,) if through else (3, 5))
        if after % 3 == 0:
            run(out)
            assert losses(out)[-1] == losses(whole)[-1]
    assert after > 8


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


def test_reported_rates_are_those_of_the_schedule(whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    expected = [learning_rate(CONFIG, step, STEPS) for step in range(STEPS)]
    assert [row["lr"] for row in rows] == expected
    assert [row["bytes_seen"] for row in rows] == [32 * step for step in range(1, STEPS + 1)]
    assert rows[-1]["validation_bits_per_byte"] is not None


def test_the_first_step_is_as_long_as_its_rate_says(tmp_path: Path) -> None:
    """Adam's first step moves every weight that has a gradient by the rate."""
    before = new_mlstm(d_hidden=10, d_embed=6).state_dict()
    (first,) = run(tmp_path, until=1)
    assert first.lr == CONFIG.lr / CONFIG.warmup_steps
    for name, tensor in load_network(tmp_path).state_dict().items():
        assert (tensor - before[name]).abs().max().item() == pytest.approx(first.lr, rel=0.01)


def test_snapshots_hold_the_weights_of_their_moment(tmp_path: Path, whole: Path) -> None:
    config = replace(CONFIG, snapshots=(6 * 32 / 1e6, 1e-9, 20 * 32 / 1e6))
    run(tmp_path / "all", config)
    snapshots = tmp_path / "all" / "snapshots"
    assert {folder.name for folder in snapshots.iterdir()} == {"0.000192MB", "1e-09MB", "0.00064MB"}
    for steps, name in ((1, "1e-09MB"), (6, "0.000192MB")):
        run(tmp_path / name, until=steps)
        assert load_network(snapshots / name).digest == load_network(tmp_path / name).digest
    assert load_network(snapshots / "0.00064MB").digest == load_network(whole).digest


def by_hand(network: MLSTM, corpus: Corpus, batch: int) -> float:
    """Bits per byte of streams, each read in one piece, in float64."""
    length = len(corpus.symbols) // batch
    bits = count = 0
    for row in range(batch):
        symbols = corpus.symbols[row * length : (row + 1) * length].astype(np.int64)
        logits = network(torch.from_numpy(symbols)[None]).logits[0].double().numpy()
        for before, after in enumerate(symbols[1:]):
            bits += np.log2(np.exp(logits[before] - logits[before][after]).sum())
            count += 1
    return bits / (count * corpus.bytes_per_symbol)


@pytest.mark.parametrize(("repeats", "batch"), [(1, 1), (4, 3)])
def test_bits_per_byte_counts_every_symbol_of_every_stream(
    network: MLSTM, bpe: BPECodec, repeats: int, batch: int
) -> None:
    for codec in (BytesCodec(), bpe):
        reader = network if codec.name == "bytes" else new_mlstm(bpe, d_hidden=6, d_embed=5)
        text = pack(TEXTS * repeats, codec)
        streams = min(batch, max(1, len(text.symbols) // 512))
        found = bits_per_byte(reader, text, batch=batch)
        assert found == pytest.approx(by_hand(reader, text, streams), rel=1e-5)


def test_a_uniform_network_needs_eight_bits_for_a_byte(network: MLSTM) -> None:
    network.w_out.zero_()
    network.b_out.zero_()
    assert bits_per_byte(network, corpus()) == pytest.approx(8)


def test_one_symbol_has_no_bits_per_byte(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="the text has 1 symbols; .* needs at least 2"):
        bits_per_byte(network, Corpus(np.zeros(1, dtype=np.uint8), 1))


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
    tmp_path: Path, whole: Path, change: dict, sentence: str
) -> None:
    out = shutil.copytree(whole, tmp_path / "copy")
    with pytest.raises(ValueError, match=sentence):
        trainer(out, replace(CONFIG, **change))


def test_another_text_is_refused(tmp_path: Path) -> None:
    run(tmp_path, until=2)
    other = pack([*TEXTS, "one more."], BytesCodec(), seed=0)
    with pytest.raises(ValueError, match="was trained on another text; choose another folder"):
        Trainer(new_mlstm(d_hidden=10, d_embed=6), other, other, CONFIG, tmp_path)


def test_other_weights_to_start_from_are_refused(tmp_path: Path) -> None:
    run(tmp_path, until=2)
    with pytest.raises(ValueError, match="was started from other weights; give the same network"):
        trainer(tmp_path, seed=1)


def test_another_network_is_refused_in_one_sentence(tmp_path: Path) -> None:
    run(tmp_path, until=2)
    wider = new_mlstm(d_hidden=11, d_embed=6)
    with pytest.raises(ValueError, match="was trained with network .*d_hidden=10") as caught:
        Trainer(wider, corpus(), corpus(), CONFIG, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_training_may_be_made_longer_before_its_rate_falls(tmp_path: Path) -> None:
    longer = replace(CONFIG, total_bytes=2 * CONFIG.total_bytes)
    run(tmp_path / "longer", longer)
    run(tmp_path / "extended", until=10)
    run(tmp_path / "extended", longer)
    assert losses(tmp_path / "extended") == losses(tmp_path / "longer")


@pytest.mark.parametrize("factor", [0.5, 2, 100])
def test_a_training_whose_rate_has_fallen_keeps_its_length(tmp_path: Path, factor: float) -> None:
    """Otherwise it would not be the training that the new length describes."""
    run(tmp_path, until=18)
    other = replace(CONFIG, total_bytes=round(factor * CONFIG.total_bytes))
    with pytest.raises(ValueError, match="was trained with total_bytes 640, not"):
        trainer(tmp_path, other)


def test_how_often_to_save_and_what_to_keep_may_change(tmp_path: Path, whole: Path) -> None:
    run(tmp_path, until=18)
    run(tmp_path, replace(CONFIG, save_seconds=0.0, snapshots=(19 * 32 / 1e6,)))
    assert_same(tmp_path, whole)
    assert (tmp_path / "snapshots" / "0.000608MB").is_dir()


def test_a_checkpoint_from_before_a_setting_existed_goes_on_with_its_default(
    tmp_path: Path, whole: Path
) -> None:
    run(tmp_path, until=5)
    file = tmp_path / "checkpoint" / "training.json"
    described = json.loads(file.read_text())
    del described["config"]["decay_fraction"]
    file.write_text(json.dumps(described))
    run(tmp_path)
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("name", ["training.json", "optimiser.safetensors", "model.safetensors"])
@pytest.mark.parametrize("missing", [True, False])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(
    tmp_path: Path, name: str, missing: bool
) -> None:
    run(tmp_path, until=2)
    file = tmp_path / "checkpoint" / name
    if missing:
        file.unlink()
    else:
        os.truncate(file, file.stat().st_size - 20)
    with pytest.raises((ValueError, FileNotFoundError), match="copy (it|the whole)") as caught:
        trainer(tmp_path)
    assert "\n" not in str(caught.value)
    assert "checkpoint" in str(caught.value)


@pytest.mark.parametrize("key", ["step", "config", "text"])
def test_a_checkpoint_that_lacks_something_is_refused_in_one_sentence(
    tmp_path: Path, key: str
) -> None:
    run(tmp_path, until=2)
    file = tmp_path / "checkpoint" / "training.json"
    described = json.loads(file.read_text())
    file.write_text(json.dumps({k: value for k, value in described.items() if k != key}))
    with pytest.raises(ValueError, match=rf"not a whole checkpoint \(it lacks {key}\); copy it"):
        trainer(tmp_path)
    file.write_text("[]")
    with pytest.raises(ValueError, match=r"not a whole checkpoint \(training\.json is not a JSON"):
        trainer(tmp_path)


def test_a_checkpoint_without_a_moment_is_refused_in_one_sentence(tmp_path: Path) -> None:
    run(tmp_path, until=2)
    file = tmp_path / "checkpoint" / "optimiser.safetensors"
    tensors = load_file(file)
    del tensors["bias.exp_avg"]
    save_file(tensors, file)
    with pytest.raises(ValueError, match=r"not a whole checkpoint \(it lacks bias\.exp_avg\)"):
        trainer(tmp_path)


@pytest.mark.parametrize("parameter", ["b_out", "bias"])
def test_a_loss_that_is_not_a_number_stops_before_the_weights_change(
    tmp_path: Path, parameter: str
) -> None:
    at_work = trainer(tmp_path)
    with torch.no_grad():
        getattr(at_work.network, parameter)[0] = torch.nan
    before = at_work.network.digest
    with pytest.raises(FloatingPointError, match=r"at step 0 the loss is nan .*lower lr \(0\.02\)"):
        at_work.run(lambda _: None)
    assert at_work.network.digest == before
    assert not (tmp_path / "checkpoint").exists()


def test_a_gradient_that_overflows_stops_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = trainer(tmp_path)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_, **__: torch.tensor(torch.inf))
    before = at_work.network.digest
    with pytest.raises(FloatingPointError, match="its gradient's norm inf"):
        at_work.run(lambda _: None)
    assert at_work.network.digest == before


def test_the_gradient_is_clipped_to_its_norm(tmp_path: Path) -> None:
    """Adam divides a common factor out of its first step, so the moments show it, not the step."""
    at_work = trainer(tmp_path, replace(CONFIG, clip=1e-3))
    at_work.run(lambda _: None, until=1)
    moments = at_work.optimiser.state_dict()["state"].values()
    norm = sum((moment["exp_avg"] / 0.1).double().pow(2).sum() for moment in moments) ** 0.5
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


@given(
    groups=st.lists(st.integers(0, 8), min_size=2).filter(lambda groups: len(set(groups)) > 1),
    fraction=st.floats(0.0, 1.0),
    seed=st.integers(0, 5),
)
def test_no_group_is_in_both_parts_and_no_text_is_lost(
    groups: list[int], fraction: float, seed: int
) -> None:
    texts = [f"{group} {place}" for place, group in enumerate(groups)]
    kept, held = split_texts(texts, groups, fraction=fraction, seed=seed)
    assert kept
    assert held
    assert {text.split()[0] for text in kept}.isdisjoint(text.split()[0] for text in held)
    assert sorted(kept + held) == sorted(texts)
    assert (kept, held) == split_texts(texts, groups, fraction=fraction, seed=seed)
    wanted = fraction * len(set(groups))
    assert abs(len({text.split()[0] for text in held}) - wanted) <= 1


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="validation needs at least two groups of texts"):
        split_texts(["a", "b"], ["x", "x"], fraction=0.1, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_captured_graph_trains_like_the_steps_it_was_captured_from(tmp_path: Path) -> None:
    config = replace(CONFIG, bf16=False)
    text, held = corpus(), pack(TEXTS[:1], BytesCodec())
    seen: dict[str, list[Progress]] = {}
    for device in ("cpu", "cuda"):
        network = new_mlstm(d_hidden=10, d_embed=6).to(device)
        at_work = Trainer(network, text, held, config, tmp_path / device)
        at_work.run(seen.setdefault(device, []).append)
    by_device = [[progress.bits_per_byte for progress in seen[d]] for d in ("cpu", "cuda")]
    assert by_device[1] == pytest.approx(by_device[0], rel=1e-3)

"""Facts about the training that the command line starts."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from worldscope.networks import train_command
from worldscope.networks.codecs import BPECodec
from worldscope.networks.loading import load_network, save_network
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.train_command import MLSTMShape, train
from worldscope.networks.train_config import TrainConfig
from worldscope.runs.files import read_lines

TEXTS = [f"A {word} film, and the end was {word} too." for word in ("good", "bad", "odd", "café")]
CONFIG = TrainConfig(total_bytes=400, batch=2, chunk=8)


def start(
    out: Path,
    texts: list[str] = TEXTS,
    codec: str = "bytes",
    init: str | None = None,
    device: str = "cpu",
    config: TrainConfig = CONFIG,
) -> None:
    groups = [str(place) for place in range(len(texts))]
    first = load_network(init) if init else MLSTMShape(codec, 6, 4)
    train(texts, groups, out, first, device=device, config=config)


@pytest.mark.parametrize("codec", ["bytes", "bpe"])
def test_a_training_leaves_a_network_that_loads(tmp_path: Path, codec: str) -> None:
    start(tmp_path / "new", codec=codec)
    network = load_network(tmp_path / "new")
    assert (network.config.d_hidden, network.config.d_embed) == (6, 4)
    assert network.config.codec == codec
    steps = [row["step"] for row in read_lines(tmp_path / "new" / "log.jsonl")]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 5


def test_progress_is_shown_in_bytes_with_the_validation_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start(tmp_path)
    shown = "".join(capsys.readouterr())
    assert "400/400" in shown
    assert "0.0 MB: validation " in shown
    assert " bits/byte" in shown


@pytest.mark.parametrize("codec", ["bytes", "bpe"])
def test_a_second_start_finds_it_done_and_changes_nothing(tmp_path: Path, codec: str) -> None:
    start(tmp_path, codec=codec)
    before = load_network(tmp_path).digest
    start(tmp_path, codec=codec)
    assert load_network(tmp_path).digest == before


def test_the_seed_of_the_configuration_is_that_of_the_weights(tmp_path: Path) -> None:
    for seed in (0, 1):
        start(tmp_path / str(seed), config=replace(CONFIG, seed=seed))
    assert load_network(tmp_path / "0").digest != load_network(tmp_path / "1").digest


def test_a_training_can_start_from_a_network(network: MLSTM, tmp_path: Path) -> None:
    save_network(network, tmp_path / "old")
    start(tmp_path / "new", init=str(tmp_path / "old"), config=replace(CONFIG, lr=1e-6))
    tuned = load_network(tmp_path / "new")
    assert tuned.config == network.config
    assert tuned.digest != network.digest
    for name, tensor in tuned.state_dict().items():
        assert (tensor - network.state_dict()[name]).abs().max() < 1e-4


def test_another_text_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(ValueError, match="was trained on another text"):
        start(tmp_path, [*TEXTS, "One more."])


def test_what_a_start_that_saved_nothing_left_has_no_part_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_command, "Trainer", stop)
        start(tmp_path / "twice", ["Zebra, zebra."] * 9, codec="bpe")
    for name in ("once", "twice"):
        start(tmp_path / name, codec="bpe")
    once, twice = (tmp_path / name / "codec.json" for name in ("once", "twice"))
    assert once.read_text() == twice.read_text()


def test_pieces_are_those_of_the_checkpoint_when_it_goes_on(tmp_path: Path) -> None:
    """They need not be those that the texts would give today."""
    start(tmp_path, codec="bpe", config=replace(CONFIG, total_bytes=100))
    checkpoint = tmp_path / "checkpoint"
    (tmp_path / "codec.json").unlink()
    checkpoint.rename(tmp_path / "checkpoint.old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BPECodec, "train", None)
        start(tmp_path, codec="bpe", config=replace(CONFIG, total_bytes=100))
    assert (tmp_path / "codec.json").read_text() == (checkpoint / "codec.json").read_text()


@pytest.mark.parametrize("codec", ["bytes", "bpe"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_an_empty_text_is_refused_by_its_index_whatever_part_it_is_in(
    tmp_path: Path, codec: str, place: int
) -> None:
    texts = [*TEXTS[:place], "<br />", *TEXTS[place:]]
    with pytest.raises(ValueError, match=rf"text {place} \('<br />'\): the text is empty"):
        start(tmp_path, texts, codec=codec)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_refused_in_one_sentence(tmp_path: Path, device: str) -> None:
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here: ") as caught:
        start(tmp_path, device=device)
    assert "\n" not in str(caught.value)


def test_ctrl_c_ends_the_step_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show = train_command._show

    def interrupt(bar: Any, progress: Any) -> None:
        show(bar, progress)
        if progress.step == 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job may ignore it
    try:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(train_command, "_show", interrupt)
            start(tmp_path / "parts")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert "stopped at 0.0 MB; the same command goes on from there" in "".join(capsys.readouterr())
    assert [row["step"] for row in read_lines(tmp_path / "parts" / "log.jsonl")] == [1, 2, 3]
    for name in ("parts", "whole"):
        start(tmp_path / name)
    losses = [
        [row["bits_per_byte"] for row in read_lines(tmp_path / name / "log.jsonl")]
        for name in ("parts", "whole")
    ]
    assert losses[0] == losses[1]
    assert load_network(tmp_path / "parts").digest == load_network(tmp_path / "whole").digest


def test_a_single_group_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least two groups"):
        start(tmp_path, TEXTS[:1])


def test_a_folder_takes_one_training_at_a_time(tmp_path: Path) -> None:
    inside = []

    def start_another(bar: Any, progress: Any) -> None:
        with pytest.raises(ValueError, match=f"a training is running in {tmp_path}; wait for it"):
            start(tmp_path)
        inside.append(progress.step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_command, "_show", start_another)
        start(tmp_path)
    assert inside == [row["step"] for row in read_lines(tmp_path / "log.jsonl")]
    start(tmp_path)

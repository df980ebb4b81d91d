"""A training that is stopped anyhow goes on to the bit."""

import json
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

import pytest

from worldscope.networks import training
from worldscope.networks.loading import load_network


def test_the_same_seed_gives_the_same_training(small: Any, tmp_path: Path, whole: Path) -> None:
    small.run(tmp_path)
    small.assert_same(tmp_path, whole)


@pytest.mark.parametrize("bf16", [True, False])
@pytest.mark.parametrize("stop", [1, 7, 12, 19])
def test_a_stopped_training_goes_on_with_the_same_losses_to_the_bit(
    small: Any, tmp_path: Path, stop: int, bf16: bool
) -> None:
    """Stops within a pass over the text, at its end, and in the part where the rate falls."""
    config = replace(small.config, bf16=bf16)
    small.run(tmp_path / "whole", config)
    first = small.run(tmp_path / "parts", config, until=stop)
    assert [progress.step for progress in first] == list(range(1, stop + 1))
    second = small.run(tmp_path / "parts", config)
    assert [progress.step for progress in second] == list(range(stop + 1, small.steps + 1))
    small.assert_same(tmp_path / "parts", tmp_path / "whole")


def test_a_training_that_has_ended_stays_as_it_is(small: Any, tmp_path: Path, whole: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "copy")
    assert small.run(out) == []
    assert small.run(out, until=0) == []
    small.assert_same(out, whole)


def test_steps_beyond_the_checkpoint_are_logged_once_after_all(
    small: Any, tmp_path: Path, whole: Path
) -> None:
    small.run(tmp_path, until=6)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 7, "bits_per_byte": 1.0}) + '\n{"step": 8, "bits_')
    small.run(tmp_path)
    small.assert_same(tmp_path, whole)


def test_the_log_of_a_start_that_saved_nothing_is_begun_anew(
    small: Any, tmp_path: Path, whole: Path
) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "bits_per_byte": 9.0}\n')
    small.run(tmp_path)
    small.assert_same(tmp_path, whole)


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
    small: Any, tmp_path: Path, repository: Path
) -> None:
    """A process that saves at every step is killed with SIGKILL, most likely while it saves."""
    config = replace(small.config, total_bytes=120 * 4 * 8, save_seconds=0.0)
    out, log = tmp_path / "killed", tmp_path / "killed" / "log.jsonl"
    program = PROGRAM.format(texts=small.texts, config=config)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(out)], cwd=repository, stderr=subprocess.PIPE
    )
    while not (log.exists() and log.read_bytes().count(b"\n") >= 5):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 0 < small.trainer(out, config).step < 120
    small.run(out, replace(config, save_seconds=1e9))
    small.run(tmp_path / "whole", replace(config, save_seconds=1e9))
    assert small.losses(out) == small.losses(tmp_path / "whole")
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
    small: Any, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops before each thing that a save does to the disk, in turn, until it is through."""
    small.run(tmp_path / "start", until=3)
    after, through = -1, False
    while not through:
        after += 1
        out = shutil.copytree(tmp_path / "start", tmp_path / f"cut-{after}")
        at_work = small.trainer(out)
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
        assert small.trainer(out).step in ((5,) if through else (3, 5))
        if after % 3 == 0:
            small.run(out)
            assert small.losses(out)[-1] == small.losses(whole)[-1]
    assert after > 8


def test_a_training_may_be_made_longer_before_its_rate_falls(small: Any, tmp_path: Path) -> None:
    longer = replace(small.config, total_bytes=2 * small.config.total_bytes)
    small.run(tmp_path / "longer", longer)
    small.run(tmp_path / "extended", until=10)
    small.run(tmp_path / "extended", longer)
    assert small.losses(tmp_path / "extended") == small.losses(tmp_path / "longer")


def test_how_often_to_save_and_what_to_keep_may_change(
    small: Any, tmp_path: Path, whole: Path
) -> None:
    small.run(tmp_path, until=18)
    small.run(tmp_path, replace(small.config, save_seconds=0.0, snapshots=(19 * 32 / 1e6,)))
    small.assert_same(tmp_path, whole)
    assert (tmp_path / "snapshots" / "0.000608MB").is_dir()


def test_a_checkpoint_from_before_a_setting_existed_goes_on_with_its_default(
    small: Any, tmp_path: Path, whole: Path
) -> None:
    small.run(tmp_path, until=5)
    file = tmp_path / "checkpoint" / "training.json"
    described = json.loads(file.read_text())
    del described["config"]["decay_fraction"]
    file.write_text(json.dumps(described))
    small.run(tmp_path)
    small.assert_same(tmp_path, whole)

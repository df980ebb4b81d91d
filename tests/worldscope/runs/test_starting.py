"""Facts about starting a run and going on with one."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from worldscope.runs import load_run, start_run
from worldscope.runs.environment import describe_environment, git_state


@dataclass(frozen=True)
class Training:
    rate: float = 0.1


@dataclass(frozen=True)
class Config:
    width: int = 8
    training: Training = field(default_factory=Training)
    source: Path = Path("films")


def test_a_run_remembers_what_it_was_started_with(tmp_path: Path) -> None:
    started = start_run("sentiment", Config(), 7, root=tmp_path)
    run = load_run(started.path)
    assert (run.study, run.seed) == ("sentiment", 7)
    assert run.config == {"width": 8, "training": {"rate": 0.1}, "source": "films"}
    assert run.report_path.parent == run.path


def test_a_run_is_named_for_its_study_and_never_like_another(tmp_path: Path) -> None:
    runs = [start_run("sentiment", {}, 0, root=tmp_path) for _ in range(3)]
    assert len({run.name for run in runs}) == 3
    assert all(run.name.startswith("sentiment-2") for run in runs)
    assert {path.name for path in tmp_path.iterdir()} == {run.name for run in runs}


def test_the_root_is_given_or_in_the_environment_or_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORLDSCOPE_RUNS", raising=False)
    assert start_run("a", {}, 0).path.resolve().parent == tmp_path / "runs"
    monkeypatch.setenv("WORLDSCOPE_RUNS", str(tmp_path / "elsewhere"))
    assert start_run("a", {}, 0).path.parent == tmp_path / "elsewhere"
    assert start_run("a", {}, 0, root=tmp_path / "given").path.parent == tmp_path / "given"


def test_the_environment_names_versions_threads_and_processor() -> None:
    environment = describe_environment()
    assert environment["python"] == sys.version.split()[0]
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["torch_threads"] == torch.get_num_threads()
    assert environment["cpu_count"] >= 1


def test_the_commit_and_whether_files_differ_from_it_are_named(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_state(tmp_path) is None
    git("init")
    (tmp_path / "code.py").write_text("a = 1")
    git("add", ".")
    git("commit", "-m", "first")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "code.py").write_text("a = 2")
    state = git_state(tmp_path)
    assert state is not None
    assert state["dirty"]
    (tmp_path / "installed").mkdir()
    assert git_state(tmp_path / "installed") is None


def test_an_unfinished_run_of_the_same_configuration_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), start_run("a", Config(), 0, root=tmp_path, name="one") as run:
        run.tried([{"unit": 1}])
        raise RuntimeError("power cut")
    again = start_run("a", Config(), 0, root=tmp_path, name="one")
    assert again.path == run.path
    assert again.status["state"] == "running"
    assert again.status["error"] is None
    assert again.tried_features == [{"unit": 1}]


def test_a_finished_run_is_not_started_again(tmp_path: Path) -> None:
    with start_run("a", {}, 0, root=tmp_path, name="one"):
        pass
    with pytest.raises(ValueError, match="run one has finished: open it with load_run"):
        start_run("a", {}, 0, root=tmp_path, name="one")


def test_another_configuration_is_refused_and_the_differences_are_named(tmp_path: Path) -> None:
    start_run("a", Config(), 0, root=tmp_path, name="one")
    other = Config(width=9, training=Training(rate=0.2))
    with pytest.raises(ValueError, match=r"another config\.training\.rate, config\.width, seed:"):
        start_run("a", other, 1, root=tmp_path, name="one")
    assert load_run(tmp_path / "one").config["width"] == 8


@pytest.mark.parametrize(
    ("study", "name"), [("a/b", None), ("../a", None), ("a", "../b"), ("a", "")]
)
def test_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, study: str, name: str | None
) -> None:
    with pytest.raises(ValueError, match="cannot name a file"):
        start_run(study, {}, 0, root=tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_that_is_not_plain_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a function cannot be written as JSON"):
        start_run("a", {"loss": lambda: 0}, 0, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("disk full")

    monkeypatch.setattr("worldscope.runs.starting.describe_environment", fail)
    with pytest.raises(OSError, match="disk full"):
        start_run("a", {}, 0, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_importing_runs_loads_neither_torch_nor_pandas_nor_plotly() -> None:
    code = (
        "import sys, worldscope.runs\n"
        "print([m for m in ('torch', 'pandas', 'plotly', 'pyarrow') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"

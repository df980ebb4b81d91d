"""Facts about finding runs, whole or broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from worldscope.runs import list_runs, load_run, start_run


def break_status(run: Path, **fields: object) -> None:
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | fields))


BREAKS = {
    "config.json is missing": lambda run: (run / "config.json").unlink(),
    "config.json is not readable JSON": lambda run: (run / "config.json").write_text('{"stu'),
    "config.json is not a JSON object": lambda run: (run / "config.json").write_text("[1]"),
    "config.json lacks study, seed, config": lambda run: (run / "config.json").write_text("{}"),
    "environment.json is missing": lambda run: (run / "environment.json").unlink(),
    "status.json is not readable JSON": lambda run: (run / "status.json").write_bytes(b"\xff"),
    "status.json has the state 'done', not one of": lambda run: break_status(run, state="done"),
    "status.json has the start 'today', not a time": lambda run: break_status(run, started="today"),
    "status.json has the start 5, not a time": lambda run: break_status(run, started=5),
    "status.json has the start '2030-01-01', not": lambda run: break_status(
        run, started="2030-01-01"
    ),
    "measurements.parquet is not readable Parquet": lambda run: (
        run / "measurements.parquet"
    ).write_bytes(b"PAR1"),
}


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    days = {"b": 2, "a": 3, "c": 1}
    runs = [start_run("films", {}, 0, root=tmp_path, name=name) for name in days]
    for run in runs:
        break_status(run.path, started=f"2030-01-0{days[run.name]}T00:00:00+00:00")
    entries = list_runs(tmp_path)
    assert [entry.name for entry in entries] == ["a", "b", "c"]
    assert {(entry.study, entry.state, entry.problem) for entry in entries} == {
        ("films", "running", None)
    }


def test_no_folder_of_runs_is_an_empty_list(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []


def test_a_failed_run_is_listed_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), start_run("a", {}, 0, root=tmp_path):
        raise RuntimeError("no data")
    (entry,) = list_runs(tmp_path)
    assert (entry.state, entry.problem) == ("failed", "RuntimeError: no data")


def test_a_run_that_was_killed_is_stopped_and_can_be_gone_on_with(tmp_path: Path) -> None:
    code = (
        "import sys, time; from worldscope.runs import start_run\n"
        "run = start_run('a', {}, 0, root=sys.argv[1], name='one')\n"
        "print('started', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        assert list_runs(tmp_path)[0].state == "running"
        with pytest.raises(ValueError, match="run one is still running: wait for it"):
            start_run("a", {}, 0, root=tmp_path, name="one")
        process.kill()
    assert list_runs(tmp_path)[0].state == "stopped"
    with start_run("a", {}, 0, root=tmp_path, name="one"):
        assert list_runs(tmp_path)[0].state == "running"
    assert list_runs(tmp_path)[0].state == "finished"


@pytest.mark.parametrize("problem", BREAKS)
def test_a_broken_run_is_named_and_hides_no_other(tmp_path: Path, problem: str) -> None:
    whole = start_run("a", {}, 0, root=tmp_path, name="whole")
    broken = start_run("a", {}, 0, root=tmp_path, name="broken").path
    BREAKS[problem](broken)
    os.utime(broken, (0, 0))
    first, second = list_runs(tmp_path)
    assert (first.name, first.state) == (whole.name, "running")
    assert (second.name, second.state) == ("broken", "broken")
    assert second.problem is not None
    assert second.problem.startswith(problem)
    with pytest.raises(ValueError, match="is not a whole run: "):
        load_run(broken)


def test_files_and_hidden_folders_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".123.tmp").mkdir()
    assert list_runs(tmp_path) == []


def test_opening_what_is_not_there_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"no run in .*x; list_runs\(\) gives those that exist"):
        load_run(tmp_path / "x")

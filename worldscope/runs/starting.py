"""Starting a run, or going on with one that has not finished."""

import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from worldscope.runs.environment import describe_environment
from worldscope.runs.files import plain, read_json, write_json
from worldscope.runs.listing import load_run, runs_root
from worldscope.runs.lock import lock_folder
from worldscope.runs.run import Run, checked_name


def start_run(
    study: str,
    config: Any,
    seed: int,
    *,
    root: Path | str | None = None,
    name: str | None = None,
) -> Run:
    """Make a run's folder, or go on with the run of that name if it has not finished.

    Args:
        study: The question: one word of letters, digits, '.', '-' and '_'.
        config: A dataclass or mapping of plain values.
        seed: The seed of everything random in the run.
        root: The folder of all runs; else the variable WORLDSCOPE_RUNS, else ./runs.
        name: The folder's name; else the study and the time.

    Raises:
        ValueError: If a name is not one word, the configuration has no form in JSON, or the run of
            that name has finished, is broken, is still running or was started with another
            configuration.
    """
    facts = {"study": checked_name(study), "seed": seed, "config": plain(config)}
    folder = runs_root(root)
    if name is not None and (folder / checked_name(name)).exists():
        return _resume(load_run(folder / name), facts)
    return _create(folder, facts, [name] if name else _free_names(study))


def _create(root: Path, facts: dict[str, Any], names: Iterable[str]) -> Run:
    """Fill the folder while it is hidden, and show it whole."""
    hidden = root / f".{uuid4().hex}.tmp"
    hidden.mkdir(parents=True)
    try:
        write_json(hidden / "config.json", facts)
        _write_start(hidden)
        return _held(_show(hidden, names))
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _free_names(study: str) -> Iterator[str]:
    stamp = f"{study}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    yield stamp
    for number in range(2, 1000):
        yield f"{stamp}-{number}"


def _show(hidden: Path, names: Iterable[str]) -> Path:
    """Rename the folder to the first name that is free. Two processes never get the same one."""
    for name in names:
        try:
            return hidden.rename(hidden.parent / name)
        except OSError:
            if not (hidden.parent / name).exists():
                raise
    raise FileExistsError(f"{hidden.parent} has runs of every name that this one could take.")


def _resume(run: Run, facts: dict[str, Any]) -> Run:
    if run.finished:
        raise ValueError(
            f"run {run.name} has finished: open it with load_run, or start one of another name."
        )
    different = sorted(_differences(read_json(run.path / "config.json"), facts))
    if different:
        raise ValueError(
            f"run {run.name} was started with another {', '.join(different)}: go on with the same, "
            "or start one of another name."
        )
    held = _held(run.path)
    _write_start(run.path)
    return held


def _held(folder: Path) -> Run:
    """The run, which no other process goes on with until it ends."""
    lock = lock_folder(folder)
    if lock is None:
        raise ValueError(
            f"run {folder.name} is still running: wait for it, or start one of another name."
        )
    return Run(folder, lock)


def _differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """The dotted paths at which two plain values differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}".strip("."))
    elif before != now:
        yield where


def _write_start(folder: Path) -> None:
    started = datetime.now(UTC).isoformat()
    write_json(folder / "environment.json", describe_environment())
    write_json(
        folder / "status.json",
        {"state": "running", "started": started, "ended": None, "error": None},
    )

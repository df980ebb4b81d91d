"""Finding runs on disk, whole or broken."""

from dataclasses import dataclass
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import Any

from worldscope.runs.files import read_json
from worldscope.runs.lock import is_locked
from worldscope.runs.run import Run

_STATES = ("running", "finished", "failed")
_FIELDS = {
    "config.json": ("study", "seed", "config"),
    "environment.json": (),
    "status.json": ("state", "started", "ended", "error"),
}


@dataclass(frozen=True)
class RunEntry:
    """A line in the list of runs: enough to choose one without opening it."""

    path: Path
    """The run's folder."""
    study: str
    """The question that the run belongs to; empty where it cannot be read."""
    state: str
    """running, stopped (killed, or left without an end), finished, failed or broken."""
    started: datetime
    """When it was last started; of a broken run, when its folder last changed. UTC."""
    problem: str | None
    """The error of a failed run, what is wrong with a broken one, otherwise None."""

    @property
    def name(self) -> str:
        """The folder's name, unique within its root."""
        return self.path.name


def runs_root(root: Path | str | None = None) -> Path:
    """The folder of all runs: `root`, else the variable WORLDSCOPE_RUNS, else ./runs."""
    return Path(root or environ.get("WORLDSCOPE_RUNS") or "runs")


def list_runs(root: Path | str | None = None) -> list[RunEntry]:
    """Every run under `root`, newest first; one that cannot be read is listed as broken."""
    folder = runs_root(root)
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(map(_entry, paths), key=lambda entry: (entry.started, entry.name), reverse=True)


def load_run(path: Path | str) -> Run:
    """Open the run in the folder `path`.

    Raises:
        LookupError: If there is no such folder.
        ValueError: If it is not a whole run; the message says what is wrong.
    """
    path = Path(path)
    if not path.is_dir():
        raise LookupError(f"there is no run in {path}; list_runs() gives those that exist.")
    problem = _problem(path)
    if problem:
        raise ValueError(f"{path} is not a whole run: {problem}.")
    return Run(path)


def _entry(path: Path) -> RunEntry:
    problem = _problem(path)
    if problem:
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return RunEntry(path, "", "broken", changed, problem)
    run = Run(path)
    status = run.status
    started = datetime.fromisoformat(status["started"])
    state = "stopped" if status["state"] == "running" and not is_locked(path) else status["state"]
    return RunEntry(path, run.study, state, started, status["error"])


def _problem(path: Path) -> str | None:
    """What keeps the folder from being a whole run, in a few words."""
    for name, keys in _FIELDS.items():
        problem = _json_problem(path / name, keys)
        if problem:
            return problem
    return _status_problem(read_json(path / "status.json")) or _measurements_problem(path)


def _json_problem(file: Path, keys: tuple[str, ...]) -> str | None:
    if not file.is_file():
        return f"{file.name} is missing"
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return f"{file.name} is not readable JSON"
    if not isinstance(content, dict):
        return f"{file.name} is not a JSON object"
    missing = ", ".join(key for key in keys if key not in content)
    return f"{file.name} lacks {missing}" if missing else None


def _status_problem(status: dict[str, Any]) -> str | None:
    if status["state"] not in _STATES:
        return f"status.json has the state {status['state']!r}, not one of {', '.join(_STATES)}"
    try:
        zone = datetime.fromisoformat(status["started"]).tzinfo
    except (TypeError, ValueError):
        zone = None
    return None if zone else f"status.json has the start {status['started']!r}, not a time in UTC"


def _measurements_problem(path: Path) -> str | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = path / "measurements.parquet"
    if file.exists():
        try:
            pq.read_metadata(file)
        except (OSError, pa.ArrowInvalid):
            return f"{file.name} is not readable Parquet"
    return None

"""One run's folder, written by an experiment and read by a dashboard."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock

from worldscope.runs.files import (
    append_lines,
    plain,
    read_json,
    read_lines,
    replacing,
    write_json,
    write_lines,
)

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

Kind = Literal["figures", "tables", "examples"]
_SUFFIX = {"figures": ".json", "tables": ".parquet", "examples": ".jsonl"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OUTCOME = {"value", "low", "high"}
_Identity = frozenset[tuple[str, Any]]


class Run:
    """One run's folder. As a context manager it ends as "finished", or as "failed" with the error.

        with start_run("sentiment", config, seed=0) as run:
            run.add(measurements)
            run.figure("histogram", figure)

    Made by `start_run` and `load_run`, which check the folder.
    """

    def __init__(self, path: Path, lock: FileLock | None = None):
        self.path = path
        self._lock = lock
        self._added: set[_Identity] = set()

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self._end("failed", f"{type(error).__name__}: {error}")

    @property
    def name(self) -> str:
        """The folder's name, unique within its root."""
        return self.path.name

    @property
    def study(self) -> str:
        """The question that the run belongs to."""
        return read_json(self.path / "config.json")["study"]

    @property
    def seed(self) -> int:
        """The seed of everything random in the run."""
        return read_json(self.path / "config.json")["seed"]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as plain values."""
        return read_json(self.path / "config.json")["config"]

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, processor, threads and commit when the run was last started."""
        return read_json(self.path / "environment.json")

    @property
    def status(self) -> dict[str, Any]:
        """`state` (running, finished, failed), `started`, `ended` (UTC, ISO 8601) and `error`."""
        return read_json(self.path / "status.json")

    @property
    def finished(self) -> bool:
        """Whether the run has ended without error."""
        return self.status["state"] == "finished"

    @property
    def report_path(self) -> Path:
        """Where the run's report belongs."""
        return self.path / "report.html"

    @property
    def measurements(self) -> "pd.DataFrame":
        """All measurements so far, a row each; without columns before the first.

        Whole numbers stay whole where some are missing (Int64).
        """
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._measurements_path.exists():
            return pd.DataFrame()
        whole = {pa.int64(): pd.Int64Dtype()}
        return pq.read_table(self._measurements_path).to_pandas(types_mapper=whole.get)

    @property
    def tried_features(self) -> list[dict[str, Any]]:
        """Every feature that was tried, in order."""
        log = self.path / "tried.jsonl"
        return read_lines(log) if log.exists() else []

    def add(self, measurements: "Iterable[Any] | pd.DataFrame") -> None:
        """Append measurements (dataclasses or mappings, or a table of them) and save the table.

        Two measurements are the same when all fields but `value`, `low` and `high` agree. One that
        was measured before the run was resumed is replaced.

        Raises:
            ValueError: If the run measured the same twice since it was started, or if the fields
                differ from those already in the table.
        """
        new = [plain(record) for record in _records(measurements)]
        if not new:
            return
        old = self._measured()
        _check_fields([*old[:1], *new])
        identities = [_identity(record) for record in new]
        self._check_new(identities)
        replaced = set(identities)
        kept = [record for record in old if _identity(record) not in replaced]
        self._write_measurements(kept + new)
        self._added |= replaced

    def tried(self, features: Iterable[Any]) -> None:
        """Append features (mappings or dataclasses of plain values) to the log of those tried.

        One that is in the log already, as after the run was resumed, is not logged again.
        """
        logged = self.tried_features
        new = [feature for feature in map(plain, features) if feature not in logged]
        append_lines(self.path / "tried.jsonl", new)

    def figure(self, name: str, figure: "go.Figure") -> None:
        """Save a plotly figure as figures/<name>.json; an earlier one of that name is replaced."""
        with replacing(self._file("figures", name)) as temporary:
            temporary.write_text(str(figure.to_json()), "utf-8")

    def table(self, name: str, table: "pd.DataFrame") -> None:
        """Save a table as tables/<name>.parquet; an earlier one of that name is replaced."""
        with replacing(self._file("tables", name)) as temporary:
            table.to_parquet(temporary)

    def examples(self, name: str, examples: Iterable[Mapping[str, Any]]) -> None:
        """Save examples as examples/<name>.jsonl, one a line; earlier ones are replaced."""
        write_lines(self._file("examples", name), examples)

    def saved(self, kind: Kind) -> list[str]:
        """The names of the saved figures, tables or examples, sorted."""
        return sorted(path.stem for path in (self.path / kind).glob(f"[!.]*{_SUFFIX[kind]}"))

    def load_figure(self, name: str) -> "go.Figure":
        """The saved figure `name`.

        Raises:
            LookupError: If there is none of that name.
        """
        import plotly.io

        return plotly.io.from_json(self._existing("figures", name).read_text("utf-8"))

    def load_table(self, name: str) -> "pd.DataFrame":
        """The saved table `name`.

        Raises:
            LookupError: If there is none of that name.
        """
        import pandas as pd

        return pd.read_parquet(self._existing("tables", name))

    def load_examples(self, name: str) -> list[dict[str, Any]]:
        """The saved examples `name`.

        Raises:
            LookupError: If there are none of that name.
        """
        return read_lines(self._existing("examples", name))

    def finish(self) -> None:
        """Mark the run as finished."""
        self._end("finished", None)

    def _end(self, state: str, error: str | None) -> None:
        write_json(
            self.path / "status.json",
            self.status | {"state": state, "ended": datetime.now(UTC).isoformat(), "error": error},
        )
        if self._lock:
            self._lock.release()

    def _file(self, kind: Kind, name: str) -> Path:
        return self.path / kind / f"{checked_name(name)}{_SUFFIX[kind]}"

    def _existing(self, kind: Kind, name: str) -> Path:
        file = self._file(kind, name)
        if not file.exists():
            known = ", ".join(self.saved(kind)) or "none"
            raise LookupError(f"run {self.name} has no {kind} named {name!r}; it has: {known}.")
        return file

    @property
    def _measurements_path(self) -> Path:
        return self.path / "measurements.parquet"

    def _measured(self) -> list[dict[str, Any]]:
        import pyarrow.parquet as pq

        path = self._measurements_path
        return pq.read_table(path).to_pylist() if path.exists() else []

    def _write_measurements(self, records: list[dict[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with replacing(self._measurements_path) as temporary:
            pq.write_table(pa.Table.from_pylist(records), temporary)

    def _check_new(self, identities: list[_Identity]) -> None:
        seen = set(self._added)
        for identity in identities:
            if identity in seen:
                fields = ", ".join(f"{field}={value!r}" for field, value in sorted(identity))
                raise ValueError(
                    f"run {self.name} measured the same twice ({fields}): tell the two apart by "
                    "method, seed or note."
                )
            seen.add(identity)


def checked_name(name: str) -> str:
    """The name, if it can name a file anywhere.

    Raises:
        ValueError: If it is not one word of letters, digits, '.', '-' and '_'.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a file: use letters, digits, '.', '-' and '_', and begin with a "
            "letter or digit."
        )
    return name


def _records(measurements: "Iterable[Any] | pd.DataFrame") -> Iterable[Any]:
    import pandas as pd

    if isinstance(measurements, pd.DataFrame):
        return measurements.astype(object).where(measurements.notna(), None).to_dict("records")
    return measurements


def _check_fields(records: list[dict[str, Any]]) -> None:
    for record in records:
        odd = sorted(record.keys() ^ records[0].keys())
        if odd:
            raise ValueError(
                f"all measurements of a run have the same fields; these differ: {', '.join(odd)}."
            )


def _identity(record: dict[str, Any]) -> _Identity:
    """Everything about a measurement but what came out."""
    return frozenset((field, record[field]) for field in record.keys() - _OUTCOME)

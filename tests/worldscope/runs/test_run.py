"""Facts about what a run keeps."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from worldscope.measures import Measurement, measurements_table
from worldscope.runs import Run, load_run, start_run


@dataclass(frozen=True)
class Measured:
    """A stand-in for a measurement: any dataclass of plain values will do."""

    method: str
    value: float
    low: float | None
    high: float | None
    seed: int | None
    note: str | None = None


UNIT = Measured("best unit", 0.81, 0.79, 0.83, 0)
PROBE = Measured("L1 probe", 0.92, None, None, None)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return start_run("sentiment", {"width": 8}, 0, root=tmp_path)


def test_measurements_of_several_calls_are_rows_of_one_table(run: Run) -> None:
    run.add([UNIT])
    run.add([PROBE, replace(UNIT, seed=1, value=1)])
    table = load_run(run.path).measurements
    assert table["method"].tolist() == ["best unit", "L1 probe", "best unit"]
    assert table["value"].tolist() == [0.81, 0.92, 1.0]
    assert table["low"].isna().tolist() == [False, True, False]
    assert table["seed"].tolist() == [0, pd.NA, 1]
    assert list(table.columns) == ["method", "value", "low", "high", "seed", "note"]


def test_measurements_and_their_table_are_saved_alike(run: Run, tmp_path: Path) -> None:
    measurements = [
        Measurement(question="q", method="unit", metric="accuracy", value=0.5, low=0.4, high=0.6),
        Measurement(question="q", method="probe", metric="accuracy", value=0.75, seed=3, n=100),
    ]
    other = start_run("sentiment", {"width": 8}, 0, root=tmp_path)
    run.add(measurements)
    other.add(measurements_table(measurements))
    pd.testing.assert_frame_equal(run.measurements, other.measurements)
    pd.testing.assert_frame_equal(
        run.measurements.dropna(axis="columns", how="all"),
        measurements_table(measurements).dropna(axis="columns", how="all"),
        check_dtype=False,
    )


def test_nothing_added_is_no_table(run: Run) -> None:
    run.add([])
    assert run.measurements.empty
    assert not (run.path / "measurements.parquet").exists()


def test_a_number_of_numpy_is_saved_exactly(run: Run) -> None:
    run.add([replace(UNIT, value=np.float64(1) / 3)])
    assert run.measurements["value"].tolist() == [1 / 3]


@pytest.mark.parametrize("calls", [[[UNIT, UNIT]], [[UNIT], [UNIT]]])
def test_measuring_the_same_twice_is_refused_and_changes_nothing(
    run: Run, calls: list[list[Measured]]
) -> None:
    run.add([PROBE])
    with pytest.raises(ValueError, match=r"measured the same twice \(method='best unit'"):
        for call in calls:
            run.add([replace(measured, value=0.1 * len(calls)) for measured in call])
    assert run.measurements["method"].tolist().count("best unit") == len(calls) - 1


def test_a_resumed_run_replaces_what_it_measures_again(run: Run) -> None:
    with pytest.raises(RuntimeError), run:
        run.add([UNIT, PROBE])
        raise RuntimeError("power cut")
    resumed = start_run("sentiment", {"width": 8}, 0, root=run.path.parent, name=run.name)
    resumed.add([replace(UNIT, value=0.5, low=0.4, high=0.6)])
    assert resumed.measurements[["method", "value"]].to_numpy().tolist() == [
        ["L1 probe", 0.92],
        ["best unit", 0.5],
    ]


def test_a_feature_that_a_resumed_run_tries_again_is_logged_once(run: Run) -> None:
    run.tried([{"unit": 1}, {"unit": 2}])
    run.tried([{"unit": 2}, {"unit": 3}])
    assert run.tried_features == [{"unit": 1}, {"unit": 2}, {"unit": 3}]


def test_measurements_with_other_fields_are_refused(run: Run) -> None:
    run.add([UNIT])
    with pytest.raises(ValueError, match=r"same fields; these differ: high, low, note, seed"):
        run.add([{"method": "x", "value": 1.0}])
    assert len(run.measurements) == 1


def test_a_failing_write_keeps_the_measurements_of_before(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.add([UNIT])

    def torn(_: object, path: Path) -> None:
        path.write_bytes(b"PAR1")
        raise OSError("disk full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr("pyarrow.parquet.write_table", torn)
        run.add([PROBE])
    assert run.measurements["method"].tolist() == ["best unit"]
    run.add([PROBE])
    assert run.measurements["method"].tolist() == ["best unit", "L1 probe"]


def test_every_tried_feature_is_logged_in_order(run: Run) -> None:
    assert run.tried_features == []
    run.tried({"unit": unit} for unit in range(3))
    run.tried([UNIT])
    assert [feature.get("unit") for feature in run.tried_features] == [0, 1, 2, None]
    assert run.tried_features[3]["method"] == "best unit"


def test_figures_tables_and_examples_come_back_as_they_were(run: Run) -> None:
    figure = go.Figure(go.Scatter(x=np.arange(3), y=np.array([0.5, 0.25, 0.125]), name="</script>"))
    table = pd.DataFrame({"unit": [3, 1], "auroc": [0.9, 0.8]}, index=["a", "b"])
    examples = [{"text": "line\nend   \u2028", "value": 0.5}, {"text": "é"}]
    run.figure("ranking", figure)
    run.table("units", table)
    run.examples("top", examples)
    loaded = load_run(run.path)
    assert loaded.load_figure("ranking") == figure
    pd.testing.assert_frame_equal(loaded.load_table("units"), table)
    assert loaded.load_examples("top") == examples
    assert [loaded.saved(kind) for kind in ("figures", "tables", "examples")] == [
        ["ranking"],
        ["units"],
        ["top"],
    ]


def test_a_file_that_is_being_written_is_not_listed(run: Run) -> None:
    run.figure("a", go.Figure())
    (run.path / "figures" / ".b.json.123.tmp").write_text("{")
    (run.path / "figures" / ".c.json").write_text("{")
    assert run.saved("figures") == ["a"]


def test_an_unknown_name_is_answered_with_the_known_ones(run: Run) -> None:
    run.figure("ranking", go.Figure())
    with pytest.raises(LookupError, match="no figures named 'rankings'; it has: ranking"):
        run.load_figure("rankings")
    with pytest.raises(LookupError, match="no tables named 'units'; it has: none"):
        run.load_table("units")


@pytest.mark.parametrize("name", ["../status", "a/b", "", ".hidden", "a b", "a\n"])
def test_a_name_that_leads_elsewhere_is_refused(run: Run, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a file"):
        run.examples(name, [])
    with pytest.raises(ValueError, match="cannot name a file"):
        run.load_examples(name)


def test_a_run_ends_finished(run: Run) -> None:
    with run:
        assert run.status["state"] == "running"
        assert not run.finished
    assert run.finished
    assert run.status["started"] <= run.status["ended"]
    assert run.status["error"] is None


def test_an_error_is_named_in_the_status_and_goes_on(run: Run) -> None:
    with pytest.raises(ZeroDivisionError), run:
        _ = 1 / 0
    assert run.status["state"] == "failed"
    assert run.status["error"] == "ZeroDivisionError: division by zero"


def test_an_interrupted_run_has_failed(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt), run:
        raise KeyboardInterrupt
    assert run.status["state"] == "failed"

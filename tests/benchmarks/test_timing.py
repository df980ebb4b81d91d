"""What a comparison says, with a clock that only the sides move."""

import json

import pytest

from benchmarks import timing
from benchmarks.timing import Row, Seconds, check_within, compare, fastest, show, table

ROW = Row("work", "bytes/s", "peer")


class Clock:
    """A clock, and sides that take a given time each."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def side(self, name: str, *seconds: float):
        times = iter(seconds)

        def run() -> None:
            self.calls.append(name)
            self.now += next(times)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "clock", lambda: clock.now)
    return clock


def test_speeds_and_ratio_are_medians_and_the_spread_is_that_of_the_pairs(clock: Clock) -> None:
    ours, peer = clock.side("ours", 1, 2, 4), clock.side("peer", 3, 5, 20)
    row = compare(ROW, 100, ours, peer, repeats=3)
    assert (row.ours, row.peer, row.ratio) == (50, 20, 3)
    assert (row.spread, row.repeats) == ((2.5, 5), 3)


def test_the_sides_take_turns_in_going_first(clock: Clock) -> None:
    compare(ROW, 1, clock.side("ours", 1, 1), clock.side("peer", 1, 1), repeats=2)
    assert clock.calls == ["ours", "peer", "peer", "ours"]


def test_a_side_may_tell_its_own_seconds_and_nothing_else(clock: Clock) -> None:
    def loss() -> float:
        clock.now += 2
        return 8.0

    row = compare(ROW, 12, loss, lambda: Seconds(3), repeats=1)
    assert (row.ours, row.peer, row.ratio) == (6, 4, 1.5)


def test_the_fastest_setting_is_found_after_a_warm_up(clock: Clock) -> None:
    def work(setting: int) -> None:
        clock.now += {8: 2, 16: 1, 32: 3}[setting] + (100 if not clock.calls else 0)
        clock.calls.append(str(setting))

    assert fastest((8, 16, 32), work) == 16
    assert clock.calls == ["8", "8", "16", "32"]


def test_sides_that_differ_are_not_timed() -> None:
    assert check_within(0.001, 0.01, "states") == "states differ by 0.001 at most"
    for difference in (0.02, float("nan")):
        with pytest.raises(ArithmeticError, match="states differ by .+; 0.01 was allowed"):
            check_within(difference, 0.01, "states")


def test_a_row_is_a_line_of_json_or_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    there = Row("w", "bytes/s", "p", 2000.0, 1000.0, 2.0, 3.0, "same", 3, (1.5, 2.5))
    absent = Row("v", "bytes/s", "q", bar=1.3, absent="no such machine")
    show([lambda quick: [there, absent]], ["--json"])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["ratio"], first["spread"], first["absent"]) == (2.0, [1.5, 2.5], None)
    assert (second["ratio"], second["absent"]) == (None, "no such machine")
    lines = list(table([there, absent]))
    assert lines[-2:] == [
        "| w | 2,000 bytes/s | 1,000 bytes/s, p | 2.00 (1.50 to 2.50, 3 repeats) | 3.00 | same |",
        "| v |  | q | absent: no such machine | 1.30 |  |",
    ]
    assert all(line.count("|") == 7 for line in lines[1:])


@pytest.mark.parametrize("quick", [True, False])
def test_a_small_size_is_asked_for_by_quick(
    quick: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    show([lambda quick: asked.append(quick) or []], ["--quick"] if quick else [])
    assert asked == [quick]
    assert "torch" in capsys.readouterr().out

"""Timing two sides in alternation, and saying what came out."""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import torch

Side = Callable[[], object]
"""Work to be timed, unless it returns the `Seconds` that it took."""
NO_BF16 = "bfloat16 products are slow on this machine"


@dataclass(frozen=True)
class Row:
    """One comparison, as a line of JSON or of the table."""

    work: str
    """What was done."""
    unit: str
    """Of `ours` and `peer`; more is better."""
    peer_name: str
    ours: float | None = None
    """Median speed; None if the row is absent."""
    peer: float | None = None
    ratio: float | None = None
    """Median of ours / peer over the repeats; above 1: ours is better."""
    bar: float | None = None
    """What the ratio is to reach; None where it is only reported."""
    equal: str = ""
    """What was compared before the timing, and how far apart it was."""
    repeats: int = 0
    """How often each side was timed, in turn."""
    spread: tuple[float, float] | None = None
    """Lowest and highest ratio of a repeat."""
    absent: str | None = None
    """Why this machine cannot run it."""


class Seconds(float):
    """What a side took by a clock of its own."""


Rows = Callable[[bool], Iterable[Row]]
"""A benchmark: its rows, one as soon as it is measured; True asks for a small size."""


def compare(row: Row, amount: float, ours: Side, peer: Side, *, repeats: int) -> Row:
    """The row with its speeds: each side does `amount` units of work, in turn, `repeats` times."""
    times = [_timed_pair(ours, peer, swap=bool(repeat % 2)) for repeat in range(repeats)]
    ratios = [of_peer / of_ours for of_ours, of_peer in times]
    return replace(
        row,
        ours=amount / median(of_ours for of_ours, _ in times),
        peer=amount / median(of_peer for _, of_peer in times),
        ratio=median(ratios),
        repeats=repeats,
        spread=(min(ratios), max(ratios)),
    )


def check_within(difference: float, limit: float, what: str) -> str:
    """The sentence for `Row.equal`.

    Raises:
        ArithmeticError: If the two sides are further apart than the limit.
    """
    if not difference <= limit:
        raise ArithmeticError(f"{what} differ by {difference:.2g}; {limit:.2g} was allowed")
    return f"{what} differ by {difference:.1g} at most"


def fastest(candidates: Sequence[int], work: Callable[[int], object]) -> int:
    """The setting at which the work takes least time, each tried once after a warm-up."""
    work(candidates[0])
    return min(candidates, key=lambda setting: _timed(lambda: work(setting)))


def clock() -> float:
    """Seconds: of the processor with one thread, which others disturb less, else of the wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def machine() -> str:
    """What the speeds were measured on."""
    threads = torch.get_num_threads()
    kind = "processor time" if threads == 1 else "wall-clock time"
    return f"{_processor()}, {threads} threads ({kind}), torch {torch.__version__}"


def show(benchmarks: Sequence[Rows], arguments: Sequence[str] | None = None) -> None:
    """The command line of every benchmark: measures, and prints lines of JSON or a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="run a small size")
    chosen = parser.parse_args(arguments)
    rows = (row for benchmark in benchmarks for row in benchmark(chosen.quick))
    if chosen.json:
        lines = (json.dumps(asdict(row), ensure_ascii=False) for row in rows)
    else:
        lines = table(rows)
    for line in lines:
        print(line, flush=True)


def table(rows: Iterable[Row]) -> Iterator[str]:
    """The rows in Markdown, line by line."""
    yield f"On {machine()}.\n"
    yield "| work | ours | peer | ratio (lowest to highest) | bar | equal |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        yield f"| {row.work} | {' | '.join(_cells(row))} |"


def _cells(row: Row) -> list[str]:
    if row.absent or row.ours is None or row.peer is None or row.spread is None:
        return ["", row.peer_name, f"absent: {row.absent}", _number(row.bar), ""]
    low, high = row.spread
    return [
        f"{_number(row.ours)} {row.unit}",
        f"{_number(row.peer)} {row.unit}, {row.peer_name}",
        f"{_number(row.ratio)} ({_number(low)} to {_number(high)}, {row.repeats} repeats)",
        _number(row.bar),
        row.equal,
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _timed_pair(ours: Side, peer: Side, *, swap: bool) -> tuple[float, float]:
    """Seconds of each side; every other pair begins with the peer."""
    if swap:
        of_peer, of_ours = _timed(peer), _timed(ours)
    else:
        of_ours, of_peer = _timed(ours), _timed(peer)
    return of_ours, of_peer


def _timed(side: Side) -> float:
    start = clock()
    own = side()
    return own if isinstance(own, Seconds) else clock() - start


def _processor() -> str:
    """The processor's name where Linux tells it."""
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        return f"{len(names)} × {names[0]}" if names else platform.machine()
    return platform.processor()

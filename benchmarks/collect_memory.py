"""Memory that a collection takes over the loaded network, at its highest, in its own process."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, show

LIMIT = 1.5 * 2**30
"""Bytes over the loaded network that a collection may take."""


def rows(quick: bool) -> Iterator[Row]:
    """Two million positions at four hooks; twenty thousand of a small network if quick."""
    positions = 20_000 if quick else 2_000_000
    command = [sys.executable, "-m", "benchmarks.collect_memory", "--measure", str(positions)]
    times = [_taken(command) for _ in range(2)]
    found = max(times, key=lambda one: one["taken"])
    ratios = [LIMIT / one["taken"] for one in times]
    yield Row(
        work=f"collect {found['rows']:,} positions × 4 hooks × {found['width']}, float32 store",
        unit="times 1.5 GiB over the loaded network fit",
        peer_name="the bar",
        ours=min(ratios),
        peer=1.0,
        ratio=min(ratios),
        bar=1.0,
        equal=f"{found['taken'] / 2**20:,.0f} MiB at most, mapped files included",
        repeats=2,
        spread=(min(ratios), max(ratios)),
    )


def _taken(command: list[str]) -> dict[str, int]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(positions: int) -> dict[str, int]:
    """Collects so many positions; bytes of memory over those of the loaded network."""
    import resource

    from benchmarks.collect import ragged_texts, random_gpt
    from worldscope.activations.collect import collect
    from worldscope.activations.memory import resident_memory

    network = random_gpt(quick=positions < 100_000)
    count = positions // 300
    texts = ragged_texts(network, count)
    while (found := sum(len(network.encode(text)) for text in texts)) < positions:
        texts += texts[: 1 + (positions - found) // 300]
    hooks = [f"blocks.{n % network.config.n_layers}.{part}" for n, part in _PLACES]
    network.run_with_cache("a film", hooks[:1])
    before = resident_memory()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        store = collect(network, texts, hooks, Path(folder) / "store")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        taken = max(1, peak - before)
        return {"rows": len(store), "width": network.config.d_model, "taken": taken}


_PLACES = ((0, "hook_out"), (1, "hook_out"), (2, "attn.hook_out"), (3, "mlp.hook_out"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        show([rows])

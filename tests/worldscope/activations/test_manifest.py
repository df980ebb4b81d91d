"""A source names all that decides a store's bytes, and says in what two differ."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from worldscope.activations.manifest import Source

SOURCE = Source(
    network="n", codec="c", arithmetic="float32", data="d", inputs=3,
    hooks={"a": [2], "b": [3]}, dtype="float32", settings={"seed": 0, "window": 8}, shard_rows=9,
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("network", "m", "another network: n then, m now"),
        ("codec", None, "another codec: c then, None now"),
        ("arithmetic", "bfloat16", "another arithmetic: float32 then, bfloat16 now"),
        ("data", "e", "another data set: d then, e now"),
        ("inputs", 4, "another data set: 3 then, 4 now"),
        ("hooks", {"a": [2]}, r"another hook list: b \[3\] then, absent now;"),
        ("hooks", {"a": [2], "b": [3], "c": [1]}, r"hook list: c absent then, \[1\] now;"),
        ("dtype", "float16", "another dtype: float32 then, float16 now"),
        ("settings", {"seed": 1, "window": 8}, "another settings: seed 0 then, 1 now;"),
        ("shard_rows", 10, "another shard_mb, which makes so many rows a shard: 9 then, 10 now"),
    ],
)
def test_another_source_is_refused_and_has_another_digest(name: str, value: Any, said: str) -> None:
    other = replace(SOURCE, **{name: value})
    with pytest.raises(ValueError, match=f"store was collected with .*{said}"):
        other.check_same(SOURCE, Path("store"))
    assert other.digest != SOURCE.digest


def test_the_order_of_hooks_does_not_matter() -> None:
    other = replace(SOURCE, hooks={"b": [3], "a": [2]})
    other.check_same(SOURCE, Path("store"))
    assert other.digest == SOURCE.digest

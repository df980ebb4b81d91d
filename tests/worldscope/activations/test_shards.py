"""Shards are safetensors files, mapped in place, and tell when they are damaged."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from worldscope.activations.shards import (
    NewShard,
    checksum,
    map_acts,
    read_places,
    read_rows,
    write_rows,
)

ACTS = {
    "blocks.0.hook_out": torch.arange(12, dtype=torch.float32).view(4, 3),
    "attn.z": torch.randn(4, 2, 5),
    "é": torch.tensor([0.5]).expand(4),
}
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def write(path: Path, dtype: torch.dtype = torch.float32) -> str:
    shard = NewShard(path, {name: tuple(acts.shape) for name, acts in ACTS.items()}, dtype)
    for name, acts in ACTS.items():
        shard.acts[name].copy_(acts)
    assert not path.exists()
    return shard.finish()


def mapped(path: Path) -> dict[str, torch.Tensor]:
    return {name: map_acts(path, place) for name, place in read_places(path).items()}


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    write(tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("dtype", DTYPES)
def test_safetensors_and_the_map_read_what_was_written(tmp_path: Path, dtype: torch.dtype) -> None:
    write(tmp_path / "a", dtype)
    for found in (load_file(tmp_path / "a"), mapped(tmp_path / "a")):
        assert found.keys() == ACTS.keys()
        for name, acts in ACTS.items():
            torch.testing.assert_close(found[name], acts.to(dtype), rtol=0, atol=0)


def test_the_map_is_aligned(shard: Path) -> None:
    assert next(iter(mapped(shard).values())).data_ptr() % 64 == 0


def test_the_checksum_is_of_the_file(tmp_path: Path) -> None:
    assert write(tmp_path / "a") == checksum(tmp_path / "a")
    table = pa.table({"x": [1, 2]})
    assert write_rows(tmp_path / "r", table) == checksum(tmp_path / "r")
    assert read_rows([tmp_path / "r"]) == table


@pytest.mark.parametrize("left", [0, 4, 40, 200, -1])
def test_a_truncated_shard_is_named(shard: Path, left: int) -> None:
    shard.write_bytes(shard.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"a\.safetensors is truncated"):
        read_places(shard)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 not whole")
    with pytest.raises(ValueError, match=r"rows\.parquet is not a whole Parquet file"):
        read_rows([tmp_path / "rows.parquet"])


def test_without_room_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        NewShard(tmp_path / "a", {"x": (1 << 50,)}, torch.float32)
    shard = NewShard(tmp_path / "a", {"x": (4,)}, torch.float32)
    shard.discard()
    assert not list(tmp_path.iterdir())

"""Shards are safetensors files, mapped in place, and tell when they are damaged."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from worldscope.activations.shards import checksum, map_acts, read_rows, write_acts, write_rows

ACTS = {
    "blocks.0.hook_out": torch.arange(12, dtype=torch.float32).view(4, 3),
    "attn.z": torch.randn(4, 2, 5).bfloat16(),
    "é": torch.tensor([0.5]).half().expand(4).contiguous(),
}


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    write_acts(tmp_path / "a.safetensors", ACTS)
    return tmp_path / "a.safetensors"


def test_safetensors_reads_what_was_written(shard: Path) -> None:
    found = load_file(shard)
    assert found.keys() == ACTS.keys()
    for name, tensor in ACTS.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_the_map_gives_the_same_in_place_and_aligned(shard: Path) -> None:
    for name, tensor in map_acts(shard).items():
        torch.testing.assert_close(tensor, ACTS[name], rtol=0, atol=0)
        assert tensor.dtype == ACTS[name].dtype
    first = next(iter(map_acts(shard).values()))
    assert first.data_ptr() % 64 == 0


def test_the_checksum_is_of_the_file(tmp_path: Path) -> None:
    assert write_acts(tmp_path / "a", ACTS) == checksum(tmp_path / "a")
    table = pa.table({"x": [1, 2]})
    assert write_rows(tmp_path / "r", table) == checksum(tmp_path / "r")
    assert read_rows([tmp_path / "r"]) == table


@pytest.mark.parametrize("left", [0, 4, 40, 200, -1])
def test_a_truncated_shard_is_named(shard: Path, left: int) -> None:
    shard.write_bytes(shard.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"a\.safetensors is truncated"):
        map_acts(shard)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 not whole")
    with pytest.raises(ValueError, match=r"rows\.parquet is not a whole Parquet file"):
        read_rows([tmp_path / "rows.parquet"])


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_acts(tmp_path / "a", {"x": torch.zeros(2, device="meta")})
    assert not list(tmp_path.iterdir())

"""Rows of several maps are gathered as if the shards were joined."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldscope.activations.mapped import MappedRows
from worldscope.activations.shards import NewShard, map_shard, read_places


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    shape=st.lists(st.integers(1, 7), min_size=0, max_size=2),
    before=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_rows_of_any_width_in_any_order(
    dtype: torch.dtype, sizes: list[int], shape: list[int], before: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        acts = [torch.from_numpy(random.normal(size=(size, *shape))).to(dtype) for size in sizes]
        files = [Path(folder) / f"{number}" for number in range(len(sizes))]
        for file, part in zip(files, acts, strict=True):
            shard = NewShard(file, {"other": (len(part), before), "x": part.shape}, dtype)
            shard.acts["other"].zero_()
            shard.acts["x"].copy_(part)
            shard.finish()
        mapped = MappedRows(
            [map_shard(file) for file in files], [read_places(file)["x"] for file in files]
        )
        rows = random.integers(0, sum(sizes), size=20)
        found = mapped.gather(rows, torch.empty(20, *shape, dtype=dtype))
    torch.testing.assert_close(found, torch.cat(acts)[rows], rtol=0, atol=0)

"""A store as a `datasets.Dataset`: activations in place, in any format."""

import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch

from worldscope.activations.collect import collect
from worldscope.activations.memory import anonymous_memory
from worldscope.activations.store import ActivationStore
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer
from worldscope.worlds.world import World

C = "lstm.0.hook_c"
IN_ARROW = pytest.mark.parametrize("store", ["float32", "float16"], indirect=True)
"""Of the types that Arrow has; it has no bfloat16."""


@pytest.fixture(scope="module", params=["float32", "float16", "bfloat16"])
def store(
    request: pytest.FixtureRequest,
    network: MLSTM,
    world: World,
    tmp_path_factory: pytest.TempPathFactory,
) -> ActivationStore:
    folder = tmp_path_factory.mktemp("store")
    how = {"shard_mb": 0.004, "window": 16, "batch_positions": 64}
    return collect(network, world, [C, "hook_h"], folder, dtype=request.param, **how)


def test_the_view_has_the_table_and_the_activations(store: ActivationStore) -> None:
    assert len(store.manifest.shards) > 2
    view, acts = store.to_datasets("hook_c"), store.acts(C).float()
    assert len(view) == len(store)
    assert set(store.columns) < set(view.column_names)
    row = view[700]
    torch.testing.assert_close(row[C].float(), acts[700], rtol=0, atol=0)
    assert row["symbol"] == store.rows(["symbol"])["symbol"][700].as_py()
    few = view.filter(lambda symbol: symbol == ord("a"), input_columns="symbol")[:5]
    assert set(few["symbol"]) == {ord("a")}
    torch.testing.assert_close(torch.as_tensor(few[C]).float(), acts[few["row"]], rtol=0, atol=0)


@IN_ARROW
@pytest.mark.parametrize("form", ["torch", "numpy"])
def test_another_format_has_the_activations_too(store: ActivationStore, form: str) -> None:
    view = store.to_datasets().select_columns([C, "lstm.0.hook_h", "position"])
    rows = view.with_format(form)[10:30]
    for hook in (C, "lstm.0.hook_h"):
        expected = store.acts(hook, 10, 30).float().numpy()
        np.testing.assert_array_equal(np.asarray(rows[hook], dtype=np.float32), expected)


@IN_ARROW
def test_a_view_is_saved_and_loaded(store: ActivationStore, tmp_path: Path) -> None:
    store.to_datasets("hook_c").save_to_disk(tmp_path / "saved")
    loaded = datasets.load_from_disk(tmp_path / "saved")
    torch.testing.assert_close(
        torch.as_tensor(loaded[:][C]).float(), store.acts(C).float(), rtol=0, atol=0
    )


def test_a_view_of_bfloat16_in_a_file_has_every_format_and_is_saved(
    network: MLSTM, world: World, tmp_path: Path
) -> None:
    """As the docstring of `to_datasets` says."""
    store = collect(network, world, "hook_c", tmp_path / "store", dtype="bfloat16")
    file = tmp_path / "rows.arrow"
    view = store.to_datasets().map(lambda rows: rows, batched=True, cache_file_name=str(file))
    view = view.with_format("torch")
    assert file.stat().st_size > len(store) * 4 * 5
    view.save_to_disk(tmp_path / "saved")
    for rows in (view, datasets.load_from_disk(tmp_path / "saved")):
        for form in ("torch", "numpy"):
            found = torch.as_tensor(rows.with_format(form)[:][C])
            assert found.shape == (len(store), 5)
            torch.testing.assert_close(found, store.acts(C).float(), rtol=0, atol=0)


def test_heads_keep_their_shape(gpt: Transformer, world: World, tmp_path: Path) -> None:
    hook = "blocks.0.attn.q.hook_out"
    store = collect(gpt, world, hook, tmp_path, shard_mb=0.02)
    rows = store.to_datasets()[:9][hook]
    torch.testing.assert_close(rows, store.acts(hook, 0, 9), rtol=0, atol=0)


def test_the_view_of_a_large_store_holds_none_of_it(tmp_path: Path) -> None:
    from torch import nn

    import worldscope as ws

    data = list(np.zeros((80, 1000, 256), dtype=np.float32))
    store = ws.collect(
        ws.wrap(nn.Identity(), data[0][None], timed=True), data, "hook_out", tmp_path
    )
    size = len(store) * 256 * 4
    assert len(store.to_datasets()[:1]["hook_out"]) == 1  # libraries are loaded
    before = anonymous_memory()
    view = store.to_datasets()
    assert view[777]["hook_out"].shape == (256,)
    assert anonymous_memory() - before < size / 4


PEAK = """
import resource, sys
import worldscope as ws

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small, large = (ws.load_store(folder) for folder in sys.argv[1:])
small.to_datasets()[0]  # libraries are loaded
before = peak()
large.to_datasets()[len(large) - 1]
print(peak() - before)
"""


def test_a_view_is_made_without_reading_the_activations(
    store: ActivationStore, tmp_path: Path
) -> None:
    from worldscope.networks.wrapped import wrap

    data = list(np.random.default_rng(0).random((40, 1000, 512), dtype=np.float32))
    large = collect(wrap(torch.nn.Identity(), timed=True), data, "hook_out", tmp_path)
    command = [sys.executable, "-c", PEAK, str(store.folder), str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) < len(large) * large.row_bytes("hook_out") / 4


@IN_ARROW
def test_a_fingerprint_is_of_what_the_view_holds(store: ActivationStore) -> None:
    labels = pa.table({"more": np.arange(len(store))})
    views = [
        store.to_datasets(),
        store.to_datasets(C),
        store.with_labels(labels).to_datasets(),
    ]
    assert len({view._fingerprint for view in views}) == 3
    assert store.to_datasets()._fingerprint == views[0]._fingerprint

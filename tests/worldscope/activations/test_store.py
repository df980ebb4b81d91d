"""A store gives back what was written: in place, by range, in any order, to several at once."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from worldscope.activations.collect import collect
from worldscope.activations.store import ActivationStore, load_store
from worldscope.activations.views import StoreDataset
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.world import World

C, H = "lstm.0.hook_c", "lstm.0.hook_h"


@pytest.fixture(scope="module")
def store(
    network: MLSTM, world: World, tmp_path_factory: pytest.TempPathFactory
) -> ActivationStore:
    """About a thousand rows in several shards."""
    folder = tmp_path_factory.mktemp("store")
    collect(network, world, [C, H], folder, shard_mb=0.008, window=16, batch_positions=64)
    return load_store(folder)


def joined(store: ActivationStore, hook: str) -> torch.Tensor:
    return torch.cat([load_file(store.folder / s.acts)[hook] for s in store.manifest.shards])


def test_ranges_within_and_across_shards(store: ActivationStore) -> None:
    assert len(store.manifest.shards) > 3
    whole = joined(store, C)
    assert len(whole) == len(store) == store.rows().num_rows
    for start, stop in [(0, 1), (0, len(store)), (10, 700), (len(store) - 1, len(store)), (5, 5)]:
        torch.testing.assert_close(store.acts("hook_c", start, stop), whole[start:stop])
        assert store.rows(start=start, stop=stop) == store.rows().slice(start, stop - start)


def test_a_range_within_a_shard_is_no_copy_and_is_the_callers_own(store: ActivationStore) -> None:
    shard, before = store.manifest.shards[0], joined(store, C)
    acts = store.acts(C, 2, 5)
    assert acts.untyped_storage().nbytes() == shard.n_rows * store.row_bytes(C)
    acts.zero_()
    rows = np.arange(len(store))
    for found in (store.acts(C), store.gather(C, rows), joined(store, C)):
        torch.testing.assert_close(found, before, rtol=0, atol=0)


@pytest.mark.parametrize("rows", [[], [3], [900, 2, 2, 500, 0]])
def test_rows_are_gathered_in_the_order_asked_for(store: ActivationStore, rows: list[int]) -> None:
    found = store.gather(C, np.array(rows, dtype=np.int64))
    torch.testing.assert_close(found, joined(store, C)[rows])


def test_what_is_no_row_is_not_gathered(store: ActivationStore) -> None:
    for rows in ([-1, 3], [0, len(store)]):
        with pytest.raises(IndexError, match=rf"rows {rows[0]} to {rows[1]} are not among"):
            store.gather(C, np.array(rows))
    with pytest.raises(IndexError, match="rows are bool"):
        store.gather(C, np.ones(len(store), dtype=bool))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("size", [1, 64, 5000])
def test_a_pass_gives_every_row_once_with_its_own_activations(
    store: ActivationStore, size: int, shuffle: bool
) -> None:
    batches = list(store.batches(size, shuffle=shuffle))
    assert len(batches) == len(store.batches(size))
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(len(store)))
    assert (np.all(np.diff(rows) == 1)) == (not shuffle)
    for name in (C, H):
        acts = torch.cat([batch.acts[name] for batch in batches])
        torch.testing.assert_close(acts, joined(store, name)[rows])


def test_a_saved_cursor_goes_on_with_the_same_rows(store: ActivationStore) -> None:
    whole = [batch.rows.tolist() for batch in store.batches(100, seed=4)]
    first = store.batches(100, seed=4)
    begun = [next(iter(first)).rows.tolist() for _ in range(3)]
    rest = store.batches(100, seed=4).go_on_from(first.cursor)
    assert begun + [batch.rows.tolist() for batch in rest] == whole
    with pytest.raises(ValueError, match="seed 4, not 5"):
        store.batches(100, seed=5).go_on_from(first.cursor)


def test_memory_is_given_again_only_when_nobody_holds_it(store: ActivationStore) -> None:
    whole, kept, places = joined(store, C), [], set()
    for number, batch in enumerate(store.batches(50, hooks=C, seed=1)):
        places.add(batch.acts[C].data_ptr())
        if number % 2:
            kept.append((batch.rows, batch.acts[C][3:7]))  # a part holds the whole
    for rows, part in kept:
        torch.testing.assert_close(part, whole[rows[3:7]], rtol=0, atol=0)
    assert len(kept) <= len(places) < len(store) // 50


def test_the_last_batch_may_be_dropped(store: ActivationStore) -> None:
    batches = store.batches(300, drop_last=True)
    assert [len(batch.rows) for batch in batches] == [300] * (len(store) // 300)


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_of_a_loader_share_the_rows(store: ActivationStore, workers: int) -> None:
    dataset = StoreDataset(store, 100, hooks=[C], seed=2)
    found = torch.cat([b[C] for b in DataLoader(dataset, batch_size=None, num_workers=workers)])
    whole = joined(store, C)
    assert len(found) == len(whole)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, whole.tolist()))


def test_a_datasets_view_has_table_and_activations(store: ActivationStore) -> None:
    view = store.to_datasets("hook_c")
    assert len(view) == len(store)
    row = view[700]
    torch.testing.assert_close(row[C], joined(store, C)[700])
    assert row["symbol"] == store.rows(["symbol"])["symbol"][700].as_py()
    few = view.filter(lambda symbol: symbol == ord("a"), input_columns="symbol")
    assert set(few[:5]["symbol"]) == {ord("a")}
    torch.testing.assert_close(few[:5][C], joined(store, C)[few[:5]["row"]])


def test_labels_are_of_the_rows(store: ActivationStore, world: World) -> None:
    moods, items = store.labels("mood"), store.labels("sequence")
    given = world.values("mood")
    for mood, item in zip(moods, items, strict=True):
        assert given[item] == mood or (given[item] is None and np.isnan(mood))


def test_a_store_goes_to_another_process_without_its_rows(store: ActivationStore) -> None:
    store.acts(C)
    copy = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 20_000
    torch.testing.assert_close(copy.acts(C), store.acts(C))


def test_what_is_not_there_is_named(store: ActivationStore) -> None:
    with pytest.raises(LookupError, match=r"no single hook 'hook_q'.*hook_c"):
        store.acts("hook_q")
    with pytest.raises(LookupError, match="no single hook None"):
        store.acts()
    with pytest.raises(LookupError, match=r"no column 'x'.*group"):
        store.rows(["x"])
    with pytest.raises(IndexError, match="rows 0 to 99999"):
        store.acts(C, 0, 99999)
    with pytest.raises(ValueError, match="batch_size is 0"):
        store.batches(0)
    with pytest.raises(ValueError, match="pool_mb is 0"):
        store.batches(pool_mb=0.0)
    with pytest.raises(ValueError, match="rows in order have no pools"):
        store.batches(shuffle=False, pool_mb=1.0)


def test_verify_names_what_is_damaged(network: MLSTM, world: World, tmp_path: Path) -> None:
    store = collect(network, world, C, tmp_path, shard_mb=0.004, batch_positions=64)
    assert store.verify() == []
    shard = tmp_path / store.manifest.shards[0].acts
    data = bytearray(shard.read_bytes())
    data[-3] ^= 1
    shard.write_bytes(data)
    (tmp_path / store.manifest.shards[1].rows).unlink()
    assert store.verify() == [
        "shard-00000.safetensors has changed since it was written",
        "rows-00001.parquet is missing",
    ]
    shard.write_bytes(data[:50])
    with pytest.raises(ValueError, match=r"shard-00000\.safetensors is truncated"):
        load_store(tmp_path).acts(C)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "worldscope activations 1"}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(FileNotFoundError, match="holds no activation store"):
        load_store(tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=r"manifest\.json does not describe"):
        load_store(tmp_path)

"""A store gives back what was written: in place, by range, in any order, to several at once."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from worldscope.activations.batches import seed_of_epoch
from worldscope.activations.collect import collect
from worldscope.activations.describe import describe_store
from worldscope.activations.store import ActivationStore, load_store
from worldscope.activations.views import StoreDataset
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer
from worldscope.networks.wrapped import wrap
from worldscope.worlds.world import World

C, H = "lstm.0.hook_c", "lstm.0.hook_h"


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


@pytest.mark.parametrize("pool_mb", [None, 0.002])
def test_each_epoch_gives_every_row_once_in_an_order_of_its_own(
    store: ActivationStore, pool_mb: float | None
) -> None:
    batches = store.batches(100, seed=4, pool_mb=pool_mb)
    epochs = [np.concatenate([batch.rows for batch in batches]) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(len(store)))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    again = store.batches(100, seed=4, pool_mb=pool_mb)
    again.begin_epoch(2)
    saved = next(iter(again)).rows, json.loads(json.dumps(again.cursor))
    rest = store.batches(100, seed=4, pool_mb=pool_mb).go_on_from(saved[1])
    found = np.concatenate([saved[0], *(batch.rows for batch in rest)])
    assert found.tolist() == epochs[2].tolist()


def test_epochs_of_different_seeds_have_nothing_in_common() -> None:
    seeds = [seed_of_epoch(seed, epoch) for seed in range(50) for epoch in range(50)]
    assert len(set(seeds)) == 2500


def test_a_cursor_of_another_store_is_refused(
    store: ActivationStore, network: MLSTM, world: World, tmp_path: Path
) -> None:
    other = collect(network, world, C, tmp_path)
    with pytest.raises(
        ValueError, match="the cursor is of batches with store .*, not .*; give the"
    ):
        other.batches(100).go_on_from(store.batches(100).cursor)


def test_another_name_of_the_network_finds_a_hook(
    gpt: Transformer, world: World, tmp_path: Path
) -> None:
    store = collect(gpt, world, ["blocks.0.hook_out", "blocks.1.hook_out"], tmp_path)
    found = load_store(tmp_path).acts("blocks.1.hook_resid_post")
    assert torch.equal(found, store.acts("blocks.1.hook_out"))
    others = {alias: name for alias, name in gpt.aliases.items() if name in store.hooks}
    assert len(others) > 1
    assert {alias: store.hook_name(alias) for alias in others} == others
    with pytest.raises(LookupError, match="no hook 'hook_resid_post'; it has blocks.0.hook"):
        store.acts("hook_resid_post")


def test_a_whole_name_is_no_end_of_another(tmp_path: Path) -> None:
    net = wrap(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()))
    store = collect(net, [np.ones((4, 2), np.float32)], ["hook_out", "1.hook_out"], tmp_path)
    assert store.hook_name("hook_out") == "hook_out"


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


@pytest.mark.parametrize(("workers", "living"), [(0, False), (2, False), (2, True)])
def test_a_loader_gives_another_order_in_each_epoch(
    store: ActivationStore, workers: int, living: bool
) -> None:
    dataset = StoreDataset(store, 100, hooks=[C], seed=2)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers, persistent_workers=living)
    epochs = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        epochs.append(torch.cat([batch[C] for batch in loader]))
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[0].sort(0).values, epochs[1].sort(0).values)


def test_a_store_in_words_says_what_it_holds(store: ActivationStore, world: World) -> None:
    said = dict(line.split("  ", 1) for line in describe_store(store).splitlines())
    said = {name: line.strip() for name, line in said.items()}
    size = sum(file.stat().st_size for file in store.folder.glob("*-*")) / 1e6
    known = sum(not np.isnan(mood) for mood in store.labels("mood"))
    assert said["store"] == str(store.folder)
    shards = len(store.manifest.shards)
    assert said["rows"] == f"{len(store):,} in {shards} shards, {size:,.1f} MB"
    assert said["hooks"] == f"{C} (5,), {H} (5,)"
    assert said["network"].startswith(f"MLSTM, digest {store.manifest.source.network}, read in fl")
    assert said["data"].startswith("letters, 40 inputs, digest ")
    assert said["state mood"] == f"binary, known of each sequence, {known:,} rows"
    assert said["state first_a"].startswith("binary, known of each span, ")
    assert "positions all" in said["settings"]
    assert f"torch {torch.__version__}" in said["made with"]


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
    with pytest.raises(LookupError, match=r"no hook 'hook_q'.*hook_c"):
        store.acts("hook_q")
    with pytest.raises(LookupError, match="several hooks; name one of"):
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
        "shard-00000.safetensors has changed since it was written: delete it, and collect again",
        "rows-00001.parquet is missing: collect again",
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


def test_a_shard_that_is_missing_is_named(network: MLSTM, world: World, tmp_path: Path) -> None:
    store = collect(network, world, C, tmp_path, shard_mb=0.004, batch_positions=64)
    (tmp_path / store.manifest.shards[1].acts).unlink()
    (tmp_path / store.manifest.shards[1].rows).unlink()
    found = load_store(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"shard-00001\.safetensors is missing; collecting"):
        found.acts(C)
    with pytest.raises(FileNotFoundError, match=r"shard-00001\.safetensors is missing"):
        next(iter(found.batches(10)))
    with pytest.raises(FileNotFoundError, match=r"rows-00001\.parquet is missing"):
        found.rows()
    assert found.verify() == [
        "shard-00001.safetensors is missing: collect again",
        "rows-00001.parquet is missing: collect again",
    ]


def test_a_store_without_rows_yet_has_none(network: MLSTM, world: World, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="row 30 of the data: the text is empty"):
        collect(network, [*["a"] * 30, " "], C, tmp_path)
    store = load_store(tmp_path)
    assert (len(store), store.columns, store.rows().num_rows) == (0, [], 0)
    assert store.acts(C).shape == (0, 5)
    assert store.verify() == ["not every input has been read: collect again"]
    assert "not complete: not all of 31 inputs are read" in describe_store(store)
    again = collect(network, world, C, tmp_path)
    assert again.manifest.complete, "where no row was written, anything may be collected"

"""Pools give every row once, drawn evenly from all of a store, whatever is read of it and how."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from torch.utils.data import DataLoader

from worldscope.activations import pools
from worldscope.activations.collect import collect
from worldscope.activations.store import ActivationStore
from worldscope.activations.views import StoreDataset
from worldscope.networks.mlstm import MLSTM

C, H = "lstm.0.hook_c", "lstm.0.hook_h"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch, store: ActivationStore) -> None:
    """Blocks of seven rows."""
    monkeypatch.setattr(pools, "_BLOCK", 7 * store.row_bytes(C))


def pool_mb(store: ActivationStore, rows: int) -> float:
    """The size of pools of so many rows."""
    return rows * (store.row_bytes(C) + store.row_bytes(H)) / 1e6


@pytest.mark.parametrize("size", [1, 64, 5000])
@pytest.mark.parametrize("rows", [1, 100, 5000])
def test_a_pass_gives_every_row_once_with_its_own_activations(
    store: ActivationStore, size: int, rows: int
) -> None:
    batches = store.batches(size, pool_mb=pool_mb(store, rows))
    found = list(batches)
    assert len(found) == len(batches)
    assert {len(batch.rows) for batch in found[:-1]} <= {size}
    order = np.concatenate([batch.rows for batch in found])
    assert sorted(order) == list(range(len(store)))
    for name in (C, H):
        acts = torch.cat([batch.acts[name] for batch in found])
        torch.testing.assert_close(acts, store.gather(name, order), rtol=0, atol=0)


@given(
    shards=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    block=st.integers(1, 70),
    count=st.integers(1, 9),
    seed=st.integers(0, 2**32),
)
def test_every_stretch_of_blocks_has_one_in_each_pool(
    shards: list[int], block: int, count: int, seed: int
) -> None:
    starts = np.cumsum([0, *shards])
    shard, first, n = pools._blocks(starts, block)
    rows = [starts[s] + np.arange(low, low + m) for s, low, m in zip(shard, first, n, strict=True)]
    np.testing.assert_array_equal(np.concatenate(rows), np.arange(starts[-1]))
    assert np.all((n >= 1) & (n <= block) & (first + n <= np.array(shards)[shard]))
    count = min(count, len(first))
    pool_of = pools._dealt(len(first), count, np.random.default_rng(seed))
    for stretch in range(0, len(first) - count + 1, count):
        assert sorted(pool_of[stretch : stretch + count]) == list(range(count))


def test_each_row_is_equally_likely_at_each_place(store: ActivationStore) -> None:
    cells, draws, n = 5, 400, len(store)
    counts = np.zeros((cells, cells))
    for seed in range(draws):
        batches = store.batches(n, hooks=C, seed=seed, pool_mb=pool_mb(store, 200))
        order = next(iter(batches)).rows
        counts += np.histogram2d(np.arange(n), order, bins=cells, range=[[0, n], [0, n]])[0]
    expected = draws * n / cells**2
    statistic = ((counts - expected) ** 2 / expected).sum()
    # Stretches make it more even than chance; that it is no less so is what matters.
    assert chi2.sf(statistic, (cells - 1) ** 2) > 0.001


def test_a_pool_holds_rows_of_all_parts(store: ActivationStore) -> None:
    batches = store.batches(len(store), seed=3, pool_mb=pool_mb(store, len(store) // 4))
    parts = np.array_split(next(iter(batches)).rows, 4)
    for part in parts:
        share = np.histogram(part, bins=4, range=(0, len(store)))[0] / len(part)
        assert np.abs(share - 0.25).max() < 0.06
        assert abs(np.corrcoef(part[:-1], part[1:])[0, 1]) < 4 / len(part) ** 0.5


def test_the_order_depends_on_seed_and_pools_alone(store: ActivationStore) -> None:
    def order(**settings: object) -> list[int]:
        given = {"seed": 1, "pool_mb": pool_mb(store, 100)} | settings
        batches = store.batches(50, **given)  # pyright: ignore[reportArgumentType]
        return np.concatenate([batch.rows for batch in batches]).tolist()

    assert order() == order(hooks=H) == order(hooks=[C])
    assert order() != order(seed=2)
    assert order() != order(pool_mb=pool_mb(store, 300))


def test_a_saved_cursor_goes_on_with_the_same_rows(store: ActivationStore) -> None:
    size = pool_mb(store, 150)
    whole = [batch.rows.tolist() for batch in store.batches(100, pool_mb=size)]
    first = store.batches(100, pool_mb=size)
    begun = [next(iter(first)).rows.tolist() for _ in range(4)]
    rest = store.batches(100, pool_mb=size).go_on_from(first.cursor)
    assert begun + [batch.rows.tolist() for batch in rest] == whole
    with pytest.raises(ValueError, match=r"pool_mb .*, not None"):
        store.batches(100).go_on_from(first.cursor)


def test_what_is_held_is_not_written_over(store: ActivationStore) -> None:
    batches = list(store.batches(10, hooks=C, pool_mb=pool_mb(store, 60)))
    for batch in batches:
        torch.testing.assert_close(batch.acts[C], store.gather(C, batch.rows), rtol=0, atol=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_of_a_loader_share_the_rows(store: ActivationStore, workers: int) -> None:
    dataset = StoreDataset(store, 100, hooks=[C], seed=2, pool_mb=pool_mb(store, 150))
    found = torch.cat([b[C] for b in DataLoader(dataset, batch_size=None, num_workers=workers)])
    order = np.concatenate(
        [b.rows for b in store.batches(100, hooks=C, seed=2, pool_mb=pool_mb(store, 150))]
    )
    torch.testing.assert_close(found, store.gather(C, order), rtol=0, atol=0)


def test_no_pool_is_permuted_by_the_numbers_that_dealt_it(network: MLSTM, tmp_path: Path) -> None:
    """Eight blocks of one row, two pools: each row is as likely at each place."""
    few = collect(network, ["abcde"], C, tmp_path)
    assert len(few) == 8
    counts = np.zeros((8, 8))
    for seed in range(2000):
        order = pools.Pools(few, pool_mb=4 * few.row_bytes(C) / 1e6, seed=seed)
        counts[np.arange(8), order(0, 8)] += 1
    chi_square = ((counts - 250) ** 2 / 250).sum()
    assert chi2.sf(chi_square, 49) > 1e-4

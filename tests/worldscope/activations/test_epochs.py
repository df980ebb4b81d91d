"""Epoch after epoch, each row once, whoever shares the reading and wherever it is gone on with."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from worldscope.activations.batches import Batches
from worldscope.activations.collect import collect
from worldscope.activations.store import ActivationStore
from worldscope.activations.views import StoreDataset
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.world import World

C, H = "lstm.0.hook_c", "lstm.0.hook_h"


def rows_of(batches: Batches, number: int = 0, count: int = 1) -> list[int]:
    """The rows of a share of an epoch."""
    return [int(row) for batch in batches.share(number, count) for row in batch.rows]


@given(
    size=st.integers(1, 400),
    count=st.integers(1, 5),
    stopped=st.integers(0, 12),
    pools=st.booleans(),
    shuffle=st.booleans(),
)
def test_shares_that_are_stopped_and_gone_on_with_give_every_row_once(
    store: ActivationStore, size: int, count: int, stopped: int, pools: bool, shuffle: bool
) -> None:
    def batches() -> Batches:
        pool_mb = 0.01 if pools and shuffle else None
        return store.batches(size, hooks=C, shuffle=shuffle, seed=5, pool_mb=pool_mb)

    found = []
    for number in range(count):
        begun = batches()
        for _, batch in zip(range(stopped), begun.share(number, count), strict=False):
            found += batch.rows.tolist()
        saved = json.loads(json.dumps(begun.cursor))
        if saved["next_row"] < len(store):
            found += rows_of(batches().go_on_from(saved), number, count)
    assert sorted(found) == list(range(len(store)))


def test_shares_of_every_epoch_are_of_the_same_order(store: ActivationStore) -> None:
    whole, shares = store.batches(70, seed=3), [store.batches(70, seed=3) for _ in range(3)]
    seen = set()
    for _ in range(3):
        order = rows_of(whole)
        parts = [
            list(share.share(number, 3)) for number, share in enumerate(shares)
        ]  # of different numbers of batches
        dealt = [parts[k % 3][k // 3].rows.tolist() for k in range(len(whole))]
        assert [row for rows in dealt for row in rows] == order
        assert sorted(order) == list(range(len(store)))
        seen.add(tuple(order))
    assert len(seen) == 3


def test_a_cursor_at_the_end_of_an_epoch_goes_on_with_the_next(store: ActivationStore) -> None:
    batches = store.batches(100, seed=1)
    rows_of(batches)
    later = store.batches(100, seed=1).go_on_from(batches.cursor)
    assert rows_of(later) == rows_of(batches)
    assert (later.epoch, batches.epoch) == (1, 1)


def test_what_is_no_cursor_of_these_batches_is_refused(store: ActivationStore) -> None:
    cursor = store.batches(100, seed=1).cursor
    for wrong in ({}, {"next_row": 3}, {**cursor, "more": 1}):
        with pytest.raises(ValueError, match=r"is no cursor; give what `cursor` gave"):
            store.batches(100, seed=1).go_on_from(wrong)
    others: list[tuple[dict[str, Any], str]] = [
        ({"hooks": C, "seed": 1}, "hooks .*hook_h.*, not .*hook_c.*"),
        ({"seed": 2}, "seed 1, not 2"),
        ({"seed": 1, "shuffle": False}, "shuffle True, not False"),
        ({"seed": 1, "pool_mb": 1.0}, "pool_mb None, not 1.0"),
    ]
    for changed, said in others:
        with pytest.raises(ValueError, match=f"the cursor is of batches with {said}; give the"):
            store.batches(100, **changed).go_on_from(cursor)
    with pytest.raises(ValueError, match="seed is -1; it must be 0 or more"):
        store.batches(seed=-1)


@pytest.mark.parametrize(
    "passes", [(0, 0, 0), (2, 2, 2), (2, 0, 2), (0, 2, 0, 1)], ids=lambda passes: str(passes)
)
def test_every_pass_of_any_number_of_workers_is_another_epoch(
    store: ActivationStore, passes: tuple[int, ...]
) -> None:
    dataset = StoreDataset(store, 100, hooks=C, labels=["sequence", "position"], seed=2)
    loaders = (DataLoader(dataset, batch_size=None, num_workers=count) for count in passes)
    check_epochs(store, loaders)


def test_workers_that_live_on_go_to_the_next_epoch(store: ActivationStore) -> None:
    dataset = StoreDataset(store, 100, hooks=C, labels=["sequence", "position"], seed=2)
    loader = DataLoader(dataset, batch_size=None, num_workers=2, persistent_workers=True)
    check_epochs(store, [loader] * 3)


class Racing:
    """Passes that are counted while they are read: the first of two workers begins its own."""

    def __init__(self, passes: torch.Tensor):
        self.passes = passes

    def __getitem__(self, key: object) -> torch.Tensor:
        found = self.passes[key].clone()  # pyright: ignore[reportArgumentType]
        self.passes[2, 0] += 1
        return found


def test_a_worker_that_begins_meanwhile_changes_no_others_epoch(store: ActivationStore) -> None:
    dataset = StoreDataset(store, 100)
    dataset._passes[1, 0] = 3
    dataset._passes = Racing(dataset._passes)  # pyright: ignore[reportAttributeAccessIssue]
    assert dataset._of_other_counts(2) == 3


def check_epochs(store: ActivationStore, loaders: Iterable[DataLoader]) -> None:
    """Each loader gives the rows of the next epoch."""
    known = store.rows(["sequence", "position"]).to_pylist()
    place = {(row["sequence"], row["position"]): number for number, row in enumerate(known)}
    batches = store.batches(100, seed=2)
    for loader in loaders:
        found = [
            place[int(sequence), int(position)]
            for batch in loader
            for sequence, position in zip(batch["sequence"], batch["position"], strict=True)
        ]
        assert found == rows_of(batches)


def test_ranks_with_workers_share_an_epoch_and_may_choose_it(store: ActivationStore) -> None:
    found = []
    for rank in range(2):
        dataset = StoreDataset(store, 64, hooks=H, labels=["sequence"], rank=rank, ranks=2)
        dataset.set_epoch(4)
        loader = DataLoader(dataset, batch_size=None, num_workers=2)
        found += [batch[H] for batch in loader]
    given = torch.cat(found)
    assert sorted(map(tuple, given.tolist())) == sorted(map(tuple, store.acts(H).tolist()))
    with pytest.raises(ValueError, match="rank is 2 of 2; ranks count from 0"):
        StoreDataset(store, rank=2, ranks=2)


def test_labels_come_with_the_rows_of_a_batch(store: ActivationStore, world: World) -> None:
    places = np.array(world.values("place"))
    moods = [np.nan if mood is None else mood for mood in world.values("mood")]
    for batch in store.batches(90, hooks=C, labels=["sequence", "place", "mood", "group"]):
        item = batch.labels["sequence"]
        assert batch.labels["place"].shape == (len(batch.rows), 2)
        np.testing.assert_array_equal(batch.labels["place"], places[item])
        np.testing.assert_array_equal(batch.labels["mood"], np.array(moods)[item])
        assert batch.labels["group"].tolist() == [f"film {number % 3}" for number in item]
    with pytest.raises(LookupError, match=r"no column 'age'; it has group, sequence"):
        store.batches(labels=["age"])


def test_vectors_that_are_not_known_are_nan(network: MLSTM, tmp_path: Path) -> None:
    from datasets import Dataset

    from worldscope.worlds.world import State

    def labels(name: str, vectors: list) -> np.ndarray:
        rows = Dataset.from_dict({"text": ["a", "b", "c"], "place": vectors})
        world = World("w", rows, "text", "text", (State("place", "vector"),))
        return collect(network, world, C, tmp_path / name, positions="last").labels("place")

    found = labels("some", [[1.0, 2.0], None, [3.0, 4.0]])
    assert found.shape == (3, 2)
    assert sorted(found.sum(1)[~np.isnan(found[:, 0])]) == [3.0, 7.0]
    assert labels("none", [None, None, [1.0]]).shape == (3, 1)
    with pytest.raises(ValueError, match="'place' holds vectors of different lengths; see `rows`"):
        labels("uneven", [[1.0], [1.0, 2.0], None])

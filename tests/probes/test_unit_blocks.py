"""A table in blocks is ranked as the whole table is, in the memory of a block."""

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.class_ranking import rank_units_by_class
from probes.ranking import rank_units
from probes.spearman import rank_units_by_spearman
from probes.unit_blocks import Ranking, rank_in_blocks

RANKINGS: dict[str, Callable[[np.ndarray], Ranking]] = {
    "binary": lambda acts: rank_units(acts, np.arange(len(acts)) % 2),
    "classes": lambda acts: rank_units_by_class(acts, np.arange(len(acts)) % 3),
    "spearman": lambda acts: rank_units_by_spearman(acts, np.arange(len(acts)) ** 2),
}


def assert_equal(one: Ranking, other: Ranking) -> None:
    assert type(one) is type(other)
    for field in fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)


@pytest.mark.parametrize("kind", RANKINGS)
@given(widths=st.lists(st.integers(1, 7), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_blocks_are_ranked_as_the_whole_table(kind: str, widths: list[int], seed: int) -> None:
    acts = np.random.default_rng(seed).normal(size=(30, sum(widths))).round(1)
    ends = np.cumsum(widths)
    slices = [slice(int(end - width), int(end)) for end, width in zip(ends, widths, strict=True)]
    rank = RANKINGS[kind]
    assert_equal(rank_in_blocks(((units, acts[:, units]) for units in slices), rank), rank(acts))


@pytest.mark.parametrize("kind", RANKINGS)
def test_the_size_of_what_is_worked_on_at_a_time_changes_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = np.random.default_rng(0).normal(size=(50, 43)).astype(np.float32).round(1)
    whole = RANKINGS[kind](acts)
    for name, size in (("_CELLS", 150), ("_GATHERED", 350), ("_TILE", 7)):
        monkeypatch.setattr(f"probes.unit_blocks.{name}", size)
    assert_equal(RANKINGS[kind](acts), whole)


@pytest.mark.parametrize("kind", RANKINGS)
def test_the_number_of_threads_changes_nothing(kind: str) -> None:
    acts = np.random.default_rng(0).normal(size=(50, 83)).astype(np.float32).round(1)
    before = torch.get_num_threads()
    try:
        rankings = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            rankings.append(RANKINGS[kind](acts))
    finally:
        torch.set_num_threads(before)
    assert_equal(*rankings)


def test_the_table_need_not_lie_row_by_row() -> None:
    acts = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    rank = RANKINGS["binary"]
    assert_equal(rank(np.asfortranarray(acts)), rank(acts))


@pytest.mark.parametrize("kind", RANKINGS)
def test_twenty_blocks_take_the_memory_of_one(kind: str) -> None:
    rows, width = 20_000, 16

    def blocks(count: int) -> Iterator[tuple[slice, np.ndarray]]:
        random = np.random.default_rng(0)
        for block in range(count):
            units = slice(block * width, (block + 1) * width)
            yield units, random.random((rows, width), dtype=np.float32)

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            rank_in_blocks(blocks(count), RANKINGS[kind])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # what is imported or kept on a first call
    assert peak(20) < peak(1) + rows * width * 4 / 2


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        ([slice(1, 4)], r"3 units comes as slice\(1, 4, None\) .*: it must be slice\(0, 3\)"),
        ([slice(0, 3), slice(4, 7)], r"where unit 3 is next: it must be slice\(3, 6\)"),
        ([slice(0, 3), slice(3, 7)], r"slice\(3, 7, None\) where unit 3 is next"),
        ([slice(0, 3, 2)], r"slice\(0, 3, 2\)"),
        ([], "There are no blocks of units"),
    ],
)
def test_blocks_that_leave_out_units_are_refused(units: list[slice], sentence: str) -> None:
    acts = np.random.default_rng(0).normal(size=(6, 3))
    with pytest.raises(ValueError, match=sentence):
        rank_in_blocks([(which, acts) for which in units], RANKINGS["binary"])


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"have shape \(6, 0\): they must be \(rows, units\)"):
        RANKINGS["binary"](np.zeros((6, 0)))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_unit_that_is_wrong_is_named_whichever_thread_finds_it(threads: int) -> None:
    acts = np.zeros((4, 83))
    acts[2, 71] = np.nan
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.raises(ValueError, match="unit 71 at row 2 is nan"):
            RANKINGS["binary"](acts)
    finally:
        torch.set_num_threads(before)


def test_the_block_that_is_wrong_is_named() -> None:
    acts = np.random.default_rng(0).normal(size=(6, 7))
    acts[2, 5] = np.nan
    slices = [slice(0, 4), slice(4, 7)]
    with pytest.raises(ValueError, match="begins with unit 4: The activation of unit 1 at row 2"):
        rank_in_blocks([(units, acts[:, units]) for units in slices], RANKINGS["binary"])

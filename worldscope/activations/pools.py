"""Shuffled reading of a store that memory cannot hold: pool by pool, each in the order on disk.

Rows that follow each other on disk form blocks. Each pool takes one block, drawn at random, of
every stretch of the store, so that it holds an equal share of all parts, and its rows are then
permuted uniformly. While a pool is given out, the next is read.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldscope.activations.memory import Memory

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore

_BLOCK = 1 << 17
"""Bytes of a hook in a block, at most, about: enough to be read nearly as fast as in sequence."""
_FINE = 1 / 16
"""Rows of a block, at most, in square roots of the rows of the store: what a block's rows have in
common then stays under the deviations of chance."""


class Block(NamedTuple):
    """Rows that follow each other on disk."""

    first: int
    """First row within the shard."""
    n: int
    places: Int[np.ndarray, " n"]
    """Where they go within their pool."""


class Pool(NamedTuple):
    """A share of the rows of a store, permuted, in memory."""

    rows: Int[np.ndarray, " n"]
    acts: dict[str, Float[Tensor, "n ..."]]


class Pools:
    """Which rows are in memory together in a pass over a store."""

    def __init__(self, store: "ActivationStore", pool_mb: float, seed: int):
        """Draws the blocks of every pool; nothing is read.

        Args:
            store: The store.
            pool_mb: Megabytes of a pool, all hooks of the store counted.
            seed: Of the order.

        Raises:
            ValueError: If the pools have no size.
        """
        if not pool_mb > 0:
            raise ValueError(f"pool_mb is {pool_mb}; it must be above 0")
        self.store, self.seed = store, seed
        sizes = [store.row_bytes(name) for name in store.hooks]
        fine = int(_FINE * math.sqrt(len(store)))
        block = max(1, min(fine, _BLOCK * len(sizes) // sum(sizes)))
        self._shard, self._first, self._n = _blocks(store.shard_starts, block)
        wanted = math.ceil(len(store) * sum(sizes) / (pool_mb * 1e6))
        count = min(wanted, len(self._first))
        self._pool_of = _dealt(len(self._first), count, np.random.default_rng(seed))
        in_pool = np.bincount(self._pool_of, self._n, minlength=count)
        self.starts = np.concatenate([[0], np.cumsum(in_pool)]).astype(np.int64)
        """Places in the pass where the pools begin, and its end."""

    def blocks(self, pool: int) -> Iterator[tuple[int, list[Block]]]:
        """Shards, and the blocks of a pool in each, in the order on disk."""
        mine = np.flatnonzero(self._pool_of == pool)
        sizes = self._n[mine]
        order = np.random.default_rng([self.seed, pool]).permutation(int(sizes.sum()))
        places = np.split(order, np.cumsum(sizes)[:-1])
        found = map(Block, self._first[mine].tolist(), sizes.tolist(), places)
        shards = iter(self._shard[mine].tolist())
        return ((shard, list(some)) for shard, some in groupby(found, lambda _: next(shards)))

    @contextmanager
    def reading(self, hooks: Sequence[str]) -> Iterator[Callable[[int, int], Pool]]:
        """A function that gives the rows at places `start` to `stop` of the pass.

        Args:
            hooks: Canonical names of the hooks that are read.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="pools") as ahead:
            yield _Reader(self, hooks, ahead).read


class _Reader:
    """Reads pools one after another, and is one ahead."""

    def __init__(self, pools: Pools, hooks: Sequence[str], ahead: ThreadPoolExecutor):
        self.pools, self.ahead = pools, ahead
        store = pools.store
        longest = int(np.diff(pools.starts).max(initial=0))
        self.memory = {
            name: Memory((longest, *store.row_shape(name)), store.dtype) for name in hooks
        }
        self.held: dict[int, Future[Pool]] = {}
        self.given = -1

    def read(self, start: int, stop: int) -> Pool:
        starts, parts = self.pools.starts, []
        first = int(np.searchsorted(starts, start, side="right")) - 1
        last = int(np.searchsorted(starts, stop, side="left"))
        for number in range(first, last):
            begin, end = (max(0, place - int(starts[number])) for place in (start, stop))
            rows, acts = self._pool(number)
            parts.append(Pool(rows[begin:end], {name: a[begin:end] for name, a in acts.items()}))
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _pool(self, number: int) -> Pool:
        # The next is begun with the second batch of this one: by then the caller has let go of the
        # last batch of the pool before, so that no more than two are in memory.
        wanted = [number, number + 1] if number == self.given else [number]
        self.held = {n: pool for n, pool in self.held.items() if n in wanted}
        for each in wanted:
            if each not in self.held and each < len(self.pools.starts) - 1:
                self.held[each] = self.ahead.submit(self._loaded, each)
        self.given = number
        return self.held[number].result()

    def _loaded(self, number: int) -> Pool:
        n = int(np.diff(self.pools.starts)[number])
        rows = np.empty(n, dtype=np.int64)
        acts = {name: memory.tensor()[:n] for name, memory in self.memory.items()}
        store = self.pools.store
        for shard, blocks in self.pools.blocks(number):
            for first, size, places in blocks:
                rows[places] = np.arange(first, first + size) + store.shard_starts[shard]
            spans = [(block.first, block.n) for block in blocks]
            for name, tensor in acts.items():
                target = _as_bytes(tensor)
                read = store.read_blocks(name, shard, spans)
                for block, found in zip(blocks, read, strict=True):
                    target[block.places] = found
        return Pool(rows, acts)


def _blocks(shard_starts: Int[np.ndarray, " starts"], block: int) -> tuple[np.ndarray, ...]:
    """Shard, first row within it, and number of rows, of every block; none lies in two shards."""
    sizes = np.diff(shard_starts)
    shard = np.repeat(np.arange(len(sizes)), -(-sizes // block))
    before = np.concatenate([[0], np.cumsum(-(-sizes // block))])
    first = (np.arange(len(shard)) - before[shard]) * block
    return shard, first, np.minimum(block, sizes[shard] - first)


def _dealt(blocks: int, pools: int, random: np.random.Generator) -> Int[np.ndarray, " blocks"]:
    """The pool of every block: of as many as there are pools, each takes one."""
    if pools == 0:
        return np.arange(0)
    rounds = np.tile(np.arange(pools), (math.ceil(blocks / pools), 1))
    return random.permuted(rounds, axis=1).ravel()[:blocks]


def _joined(parts: Sequence[Pool]) -> Pool:
    names = parts[0].acts
    rows = np.concatenate([part.rows for part in parts])
    return Pool(rows, {name: torch.cat([part.acts[name] for part in parts]) for name in names})


def _as_bytes(rows: Float[Tensor, "n ..."]) -> np.ndarray:
    return rows.flatten(1).view(torch.uint8).numpy()

"""The order of a shuffled pass over a store that memory cannot hold: pool by pool.

Rows that follow each other on disk form blocks. Each pool takes one block, drawn at random, of
every stretch of the store, so that it holds an equal share of all parts, and its rows are then
permuted uniformly. The system reads a pool, in the order on disk, while the one before it is given
out; so memory has to have room for two in its page cache.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

if TYPE_CHECKING:
    from worldscope.activations.store import ActivationStore

_BLOCK = 1 << 17
"""Bytes of a hook in a block, at most, about: enough to be read nearly as fast as in sequence."""
_FINE = 1 / 16
"""Rows of a block, at most, in square roots of the rows of the store: what a block's rows have in
common then stays under the deviations of chance."""


class Pools:
    """The order of one pass."""

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
        shard, first, n = _blocks(store.shard_starts, block)
        wanted = math.ceil(len(store) * sum(sizes) / (pool_mb * 1e6))
        pool_of = _dealt(len(first), min(wanted, len(first)), np.random.default_rng(seed))
        order = np.argsort(pool_of, kind="stable")
        self._shard, self._first, self._n = shard[order], first[order], n[order]
        self._begin = np.concatenate([[0], np.cumsum(self._n)])
        """Place in the pass where each block would begin, were its pool not permuted."""
        self._pools = np.searchsorted(pool_of[order], np.arange(pool_of.max(initial=-1) + 2))
        """Index of the first block of each pool, and of the end."""
        self.starts = self._begin[self._pools]
        """Places in the pass where the pools begin, and its end."""
        self.longest = int(np.diff(self.starts).max(initial=0))
        """Rows of the largest pool."""
        self._rows: dict[int, np.ndarray] = {}

    def __call__(self, start: int, stop: int) -> Int[np.ndarray, " n"]:
        """The rows at places `start` to `stop` of the pass."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = max(first + 1, int(np.searchsorted(self.starts, stop, side="left")))
        self._rows = {n: self._rows.get(n, np.empty(0)) for n in range(first, last)}
        for number, rows in self._rows.items():
            self._rows[number] = rows if len(rows) else self._permuted(number)
        begin = int(self.starts[first])
        return np.concatenate(list(self._rows.values()))[start - begin : stop - begin]

    def advise(self, hooks: Sequence[str], start: int, stop: int) -> None:
        """Has the system begin to read what makes room for places `start` to `stop`, a pool's."""
        first, last = np.searchsorted(self._begin[:-1], (start, stop))
        for block in range(first, last):
            for hook in hooks:
                self.store.advise(
                    hook, int(self._shard[block]), int(self._first[block]), int(self._n[block])
                )

    def _permuted(self, pool: int) -> Int[np.ndarray, " n"]:
        blocks = slice(self._pools[pool], self._pools[pool + 1])
        sizes = self._n[blocks]
        first = self.store.shard_starts[self._shard[blocks]] + self._first[blocks]
        before = np.cumsum(sizes) - sizes
        rows = np.repeat(first - before, sizes) + np.arange(sizes.sum())
        # [seed, 0] would give the very numbers that dealt the blocks.
        return np.random.default_rng([self.seed, pool + 1]).permutation(rows)


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

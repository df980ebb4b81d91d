"""An interpolated n-gram model of bytes: what counting alone can predict.

For a context h of k bytes, where a byte w came c(hw) times and h was followed c(h) times by T(h)
different bytes, and h' is h without its first byte:

    p(w | h) = (c(hw) + T(h) p(w | h')) / (c(h) + T(h));    p(w | h') if h never came;
    p(w) rests on 1/256 for every byte.

Source: Witten and Bell 1991, "The zero-frequency problem", method C, interpolated as in Chen and
Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 2.5.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int, Integer, UInt8
from tqdm.auto import tqdm

MAX_ORDER = 6
"""Bytes of context: with the next one they fill seven bytes of a key."""
_BLOCK = 1 << 22  # keys made and sorted at once


@dataclass(frozen=True, eq=False)
class _Counts:
    """What came after contexts of one length; a key is the context's bytes, then the next one."""

    keys: Int[np.ndarray, " grams"]
    """Context and next byte, ascending."""
    counts: Integer[np.ndarray, " grams"]
    """How often each came."""
    contexts: Int[np.ndarray, " contexts"]
    """Ascending."""
    totals: Integer[np.ndarray, " contexts"]
    """How often each was followed by anything."""
    kinds: Integer[np.ndarray, " contexts"]
    """By how many different bytes."""

    def sharpen(
        self, keys: Int[np.ndarray, " n"], lower: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Probability of each key's last byte, given that with one byte of context less."""
        order = np.argsort(keys)  # neighbours in the tables are then looked up together
        wanted, rest = keys[order], lower[order]
        count = _look_up(self.keys, self.counts, wanted)
        total = _look_up(self.contexts, self.totals, wanted >> 8)
        kinds = _look_up(self.contexts, self.kinds, wanted >> 8)
        sharper = np.empty_like(lower)
        sharper[order] = np.where(
            total > 0, (count + kinds * rest) / np.maximum(total + kinds, 1), rest
        )
        return sharper


@dataclass(frozen=True, eq=False)
class NgramModel:
    """Counts of a text, for contexts of 0 to `order` bytes."""

    order: int
    """Bytes of the longest context."""
    tables: tuple[_Counts, ...] = field(repr=False)
    """One for each length of context, 0 first."""

    @classmethod
    def fit(cls, text: bytes, *, order: int = MAX_ORDER, progress: bool = False) -> "NgramModel":
        """Counts a text.

        Memory: 16 bytes for each different sequence of `order` + 1 bytes, a few times over while
        they are counted.

        Raises:
            ValueError: If the text is empty, or the order is not from 0 to 6.
        """
        if not text:
            raise ValueError("the text is empty; give at least one byte")
        if not 0 <= order <= MAX_ORDER:
            raise ValueError(f"the order is {order}; it must be from 0 to {MAX_ORDER}")
        data = np.frombuffer(text, dtype=np.uint8)
        lengths = tqdm(range(order + 1), desc="counting n-grams", disable=not progress)
        return cls(order, tuple(_count(data, length) for length in lengths))

    def bits(self, text: bytes, *, progress: bool = False) -> Float[np.ndarray, " n"]:
        """Bits for each byte given those before it; the first ones have less context."""
        data = np.frombuffer(text, dtype=np.uint8)
        starts = range(0, len(data), _BLOCK)
        blocks = tqdm(starts, desc="predicting bytes", disable=not progress)
        return -np.concatenate(
            [np.log2(self._probabilities(data, s, min(s + _BLOCK, len(data)))) for s in blocks]
        )

    def bits_per_byte(self, text: bytes, *, progress: bool = False) -> float:
        """Mean bits of the bytes of a text.

        Raises:
            ValueError: If the text is empty.
        """
        if not text:
            raise ValueError("the text is empty; give at least one byte")
        return float(self.bits(text, progress=progress).mean())

    def _probabilities(
        self, data: UInt8[np.ndarray, " n"], start: int, stop: int
    ) -> Float[np.ndarray, " block"]:
        probabilities = np.full(stop - start, 1 / 256)
        for length, table in enumerate(self.tables):
            first = max(start, length)
            if first >= stop:
                break  # no byte here has so much before it
            keys = _keys(data, first, stop, length)
            inside = probabilities[first - start :]
            inside[:] = table.sharpen(keys, inside)
        return probabilities


def _keys(data: UInt8[np.ndarray, " n"], start: int, stop: int, length: int) -> np.ndarray:
    """For each place from start to stop, the `length` bytes before it and its own as one number."""
    keys = np.zeros(stop - start, dtype=np.int64)
    for back in range(length, -1, -1):
        keys <<= 8
        keys |= data[start - back : stop - back]
    return keys


def _count(data: UInt8[np.ndarray, " n"], length: int) -> _Counts:
    keys, counts = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    for start in range(length, len(data), _BLOCK):
        block = _keys(data, start, min(start + _BLOCK, len(data)), length)
        new, new_counts = np.unique(block, return_counts=True)
        keys, counts = _merge(keys, counts, new, new_counts)
    contexts, starts, kinds = np.unique(keys >> 8, return_index=True, return_counts=True)
    totals = np.add.reduceat(counts, starts) if len(starts) else counts
    return _Counts(keys, counts, contexts, totals, kinds)


def _merge(
    keys: np.ndarray, counts: np.ndarray, new: np.ndarray, new_counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Two ascending tables as one."""
    places = np.searchsorted(keys, new)
    known = np.zeros(len(new), dtype=bool)
    inside = places < len(keys)
    known[inside] = keys[places[inside]] == new[inside]
    counts[places[known]] += new_counts[known]
    at = places[~known]
    return np.insert(keys, at, new[~known]), np.insert(counts, at, new_counts[~known])


def _look_up(
    keys: Int[np.ndarray, " m"], values: Integer[np.ndarray, " m"], wanted: Int[np.ndarray, " n"]
) -> Integer[np.ndarray, " n"]:
    """The value of each wanted key, 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)

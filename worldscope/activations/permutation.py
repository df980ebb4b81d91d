"""Uniform permutations of any length in bounded memory.

Up to 16 million rows a permutation is drawn and kept. Beyond, row i of the permutation is computed
when it is needed: an alternating Feistel network over the smallest power of two that holds all
rows, walked until it lands among them.

Source: Black & Rogaway 2002, "Ciphers with arbitrary finite domains", section 5 (cycle walking);
the round function is the finaliser of SplitMix64 (Steele, Lea & Flood 2014).
"""

import numpy as np
from jaxtyping import Int, UInt64

_KEPT = 1 << 24
_ROUNDS = 8


class Permutation:
    """A permutation of 0 … n − 1 that is drawn from a seed."""

    def __init__(self, n: int, seed: int, *, kept: int = _KEPT):
        """Args:
        n: How many numbers.
        seed: Of the permutation.
        kept: The longest permutation that is drawn at once.
        """
        self.n = n
        generator = np.random.default_rng(seed)
        self._drawn = generator.permutation(n) if n <= kept else None
        bits = max(2, (n - 1).bit_length())
        self._low = np.uint64(bits // 2)
        self._masks = np.uint64((1 << (bits - bits // 2)) - 1), np.uint64((1 << (bits // 2)) - 1)
        self._keys = generator.integers(0, 1 << 64, _ROUNDS, dtype=np.uint64)

    def __call__(self, start: int, stop: int) -> Int[np.ndarray, " rows"]:
        """Numbers `start` to `stop` of the permutation."""
        if self._drawn is not None:
            return self._drawn[start:stop]
        places = self._enciphered(np.arange(start, stop, dtype=np.uint64))
        while len(outside := np.flatnonzero(places >= self.n)):
            places[outside] = self._enciphered(places[outside])
        return places.astype(np.int64)

    def _enciphered(self, numbers: UInt64[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
        high, low = numbers >> self._low, numbers & self._masks[1]
        for left, right in zip(self._keys[::2], self._keys[1::2], strict=True):
            high = high ^ (_mixed(low + left) & self._masks[0])
            low = low ^ (_mixed(high + right) & self._masks[1])
        return (high << self._low) | low


def _mixed(numbers: UInt64[np.ndarray, " m"]) -> UInt64[np.ndarray, " m"]:
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))

"""Every pair of texts whose sets of shingles are alike: none is missed, none is guessed.

A shingle is three words that follow one another. The similarity of two sets A and B is that of
Jaccard, |A and B| / |A or B|. Pairs that reach a threshold t are found in two steps:

1. Shingles are put in one order, the rarest first. If two sets reach t, then the first
   |A| - ceil(t |A|) + 1 shingles of A and the first |B| - ceil(t |B|) + 1 of B have one in
   common, so that an index of these prefixes yields every pair.
2. The shingles that each such pair shares are counted in full.

Source: Broder 1997 for shingles; Chaudhuri, Ganti and Kaushik 2006, section 4, for prefixes.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

_WORDS = 3  # in a shingle
_WORD = re.compile(r"\w+")
_PAIRS = 1 << 20  # of texts that are considered at once
_SHINGLES = 1 << 22  # of pairs that are compared at once
_ROUNDING = 1e-9  # of a threshold times a number of shingles

Pairs = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"], Float[np.ndarray, " _"]]
"""(text of a, text of b, similarity), as many of each."""


@dataclass(frozen=True, eq=False)
class ShingleSets:
    """The set of shingles of each text, one after the other."""

    shingles: Int[np.ndarray, " total"]
    """Number of each shingle, ascending within a text: 0 is in the fewest texts."""
    starts: Int[np.ndarray, " texts_and_1"]
    """Where each text's shingles start, and where the last one's end."""

    @property
    def sizes(self) -> Int[np.ndarray, " texts"]:
        """Number of different shingles of each text."""
        return np.diff(self.starts)


def shingle_sets(texts: Iterable[str]) -> ShingleSets:
    """The shingles of each text; a text of one or two words is one shingle, one of none has none.

    Words are runs of letters, digits and underscores.
    """
    words, lengths = _number_words(texts)
    counts = np.maximum(lengths - _WORDS + 1, 0)
    at = _ranges(np.cumsum(lengths) - lengths, counts)
    shingle = _number_runs(words, at)
    total = int(shingle.max(initial=-1)) + 1

    text = np.repeat(np.arange(len(lengths)), counts)
    members = np.unique(text * total + shingle)
    text, shingle = np.divmod(members, max(total, 1))
    commonness = np.argsort(np.argsort(np.bincount(shingle, minlength=total), kind="stable"))
    members = np.sort(text * total + commonness[shingle])
    starts = np.concatenate([[0], np.cumsum(np.bincount(text, minlength=len(lengths)))])
    return ShingleSets(members % max(total, 1), starts)


def similar_pairs(
    sets: ShingleSets,
    a: Int[np.ndarray, " p"],
    b: Int[np.ndarray, " q"],
    *,
    threshold: float,
) -> Iterator[Pairs]:
    """Every text of a with every text of b whose similarity is `threshold` or more.

    Args:
        sets: Shingles of all texts.
        a: Numbers of some texts.
        b: Numbers of some texts.
        threshold: Smallest Jaccard similarity, above 0.

    Yields:
        Some pairs at a time; a pair can come twice.
    """
    for text_a, text_b in _candidates(sets, a, b, threshold):
        for block in _blocks(sets.sizes[text_a] + sets.sizes[text_b], _SHINGLES):
            similarity = _similarity(sets, text_a[block], text_b[block])
            alike = similarity >= threshold - _ROUNDING
            yield text_a[block][alike], text_b[block][alike], similarity[alike]


def _number_words(
    texts: Iterable[str],
) -> tuple[Int[np.ndarray, " words"], Int[np.ndarray, " texts"]]:
    """(number of each word, words of each text); texts of a few words are filled up with 0."""
    number = defaultdict(count(1).__next__)
    words: list[np.ndarray] = []
    for text in texts:
        numbers = [number[word] for word in _WORD.findall(text)]
        if 0 < len(numbers) < _WORDS:
            numbers += [0] * (_WORDS - len(numbers))
        words.append(np.array(numbers, dtype=np.int64))
    lengths = np.array([len(numbers) for numbers in words], dtype=np.int64)
    return np.concatenate([np.empty(0, np.int64), *words]), lengths


def _number_runs(
    words: Int[np.ndarray, " words"], at: Int[np.ndarray, " runs"]
) -> Int[np.ndarray, " runs"]:
    """A number for each run of words that starts at these places: the same for equal runs."""
    numbers = words[at]
    for offset in range(1, _WORDS):
        # Renumbered at each step, so that the product stays within 63 bits.
        numbers, _ = pd.factorize(numbers * (words.max(initial=0) + 1) + words[at + offset])
    return numbers


def _candidates(
    sets: ShingleSets, a: Int[np.ndarray, " p"], b: Int[np.ndarray, " q"], threshold: float
) -> Iterator[tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]]:
    """Pairs whose prefixes share a shingle and whose sizes allow the threshold."""
    text_a, shingle_a = _prefixes(sets, a, threshold)
    text_b, shingle_b = _prefixes(sets, b, threshold)
    by_shingle = np.argsort(shingle_b, kind="stable")
    text_b, shingle_b = text_b[by_shingle], shingle_b[by_shingle]
    first = np.searchsorted(shingle_b, shingle_a, side="left")
    matches = np.searchsorted(shingle_b, shingle_a, side="right") - first
    texts = len(sets.sizes)
    for block in _blocks(matches, _PAIRS):
        of_a = np.repeat(text_a[block], matches[block])
        of_b = text_b[_ranges(first[block], matches[block])]
        size_a, size_b = sets.sizes[of_a], sets.sizes[of_b]
        possible = np.minimum(size_a, size_b) >= threshold * np.maximum(size_a, size_b) - _ROUNDING
        yield np.divmod(np.unique(of_a[possible] * texts + of_b[possible]), texts)


def _prefixes(
    sets: ShingleSets, texts: Int[np.ndarray, " p"], threshold: float
) -> tuple[Int[np.ndarray, " postings"], Int[np.ndarray, " postings"]]:
    """(text, shingle) for the rarest shingles of each text, as many as the threshold asks for."""
    sizes = sets.sizes[texts]
    shared_at_least = np.ceil(threshold * sizes - _ROUNDING).astype(np.int64)
    lengths = np.where(sizes > 0, sizes - shared_at_least + 1, 0)
    return np.repeat(texts, lengths), sets.shingles[_ranges(sets.starts[texts], lengths)]


def _similarity(
    sets: ShingleSets, a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"]
) -> Float[np.ndarray, " pairs"]:
    pair_a, shingle_a = _members(sets, a)
    pair_b, shingle_b = _members(sets, b)
    base = int(sets.shingles.max()) + 1
    keys_a, keys_b = pair_a * base + shingle_a, pair_b * base + shingle_b  # both ascending
    place = np.minimum(np.searchsorted(keys_b, keys_a), len(keys_b) - 1)
    shared = np.bincount(pair_a[keys_b[place] == keys_a], minlength=len(a))
    return shared / (sets.sizes[a] + sets.sizes[b] - shared)


def _members(
    sets: ShingleSets, texts: Int[np.ndarray, " pairs"]
) -> tuple[Int[np.ndarray, " members"], Int[np.ndarray, " members"]]:
    """(place in `texts`, shingle) for every shingle of each."""
    sizes = sets.sizes[texts]
    place = np.repeat(np.arange(len(texts)), sizes)
    return place, sets.shingles[_ranges(sets.starts[texts], sizes)]


def _ranges(
    starts: Int[np.ndarray, " ranges"], lengths: Int[np.ndarray, " ranges"]
) -> Int[np.ndarray, " total"]:
    """start, start + 1, ... for each range in turn."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _blocks(costs: Int[np.ndarray, " n"], limit: int) -> Iterator[slice]:
    """Consecutive items that cost about `limit` together: never over it by more than one item."""
    block_of_item = (np.cumsum(costs) - 1) // limit
    starts = np.flatnonzero(np.diff(block_of_item, prepend=-2)).tolist()
    for start, end in pairwise([*starts, len(costs)]):
        yield slice(start, end)

"""Leaks: rows of one part of a split that occur again, or nearly so, in another part."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations, groupby, pairwise
from typing import TypeVar

import numpy as np
from jaxtyping import Int, Shaped

from worldscope.measures.near_duplicates import Pairs, shingle_sets, similar_pairs

_NAMED = 5  # leaks that a warning names

_Row = TypeVar("_Row", bound=Hashable)
_FindPairs = Callable[[np.ndarray, np.ndarray], Iterable[Pairs]]
_Matches = Iterator[tuple[int, int, float]]


@dataclass(frozen=True)
class Leak:
    """A row of one part and the row of another part that it is most like."""

    part_a: str
    """The part that comes first in the split."""
    row_a: int
    """Row number within part a."""
    part_b: str
    """The part that comes later in the split."""
    row_b: int
    """Row number within part b."""
    similarity: float
    """Jaccard similarity of their shingles, up to 1; 1 for equal rows."""


@dataclass(frozen=True)
class LeakReport:
    """What the parts of a split have in common."""

    leaks: tuple[Leak, ...]
    """For every two parts, each row that occurs in the other one, with the row there that it is
    most like (the first of equals). In the order of the parts, the most similar first."""
    threshold: float
    """Similarity from which on two rows count as the same."""

    @property
    def warning(self) -> str:
        """How many rows leak between which parts, the first few of them, and what to do.

        Empty if there is no leak.
        """
        if not self.leaks:
            return ""
        told = " ".join(
            _told(part_a, part_b, list(leaks))
            for (part_a, part_b), leaks in groupby(self.leaks, lambda x: (x.part_a, x.part_b))
        )
        return (
            f"{told} Rows count as the same from a similarity of {self.threshold:g}. A probe can "
            "score on them by remembering them: leave them out of one part, or put the two rows "
            "of each leak into one group and split again."
        )


def _told(part_a: str, part_b: str, leaks: list[Leak]) -> str:
    rows_a, rows_b = ({leak.row_a for leak in leaks}, {leak.row_b for leak in leaks})
    named = ", ".join(
        f"{leak.row_a} and {leak.row_b} ({leak.similarity:.2f})" for leak in leaks[:_NAMED]
    )
    more = ", ..." if len(leaks) > _NAMED else ""
    return (
        f"{part_a} and {part_b} share rows, {len(rows_a)} of {part_a} and {len(rows_b)} of "
        f"{part_b}: {named}{more}."
    )


def find_text_leaks(
    parts: Mapping[str, Sequence[str | None]], *, threshold: float = 0.8
) -> LeakReport:
    """Texts that occur in more than one part: equal, or near-duplicates.

    Texts are equal if they are so after case folding and with each run of white space as one
    space. They are near-duplicates if their sets of three-word shingles have a Jaccard similarity
    of `threshold` or more; punctuation does not count, so that texts which differ in nothing else
    have similarity 1. Every such pair is found, and its similarity is counted, not estimated.

    What the threshold does not reach is not found: at 0.8, of two reviews of 200 words one may
    have seven words replaced, far apart; a paraphrase or a quotation inside a longer text is
    none. Short texts that follow one pattern can be named without being copies. A text of one or
    two words is one shingle, a text without words is compared for equality only, and text that
    puts no spaces between words, such as Chinese, is alike only where whole clauses are equal.

    Args:
        parts: Texts of each part, a row each.
        threshold: Similarity from which on texts are near-duplicates, above 0 and at most 1.

    Raises:
        ValueError: If the threshold is out of range, or a row is not text.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"The threshold is {threshold}: it must be above 0 and at most 1.")
    forms = {name: _normal_forms(name, texts) for name, texts in parts.items()}
    numbers, texts = _number_rows(forms)
    sets = shingle_sets(texts)

    def alike(a: Int[np.ndarray, " p"], b: Int[np.ndarray, " q"]) -> Iterator[Pairs]:
        yield _equal(a, b)
        yield from similar_pairs(sets, a, b, threshold=threshold)

    return LeakReport(_find_leaks(numbers, alike), threshold)


def find_row_leaks(parts: Mapping[str, Shaped[np.ndarray, "..."]]) -> LeakReport:
    """Rows of arrays that occur in more than one part, byte for byte.

    0.0 and -0.0 are different bytes.

    Args:
        parts: An array (rows, ...) for each part, with rows of one type and shape.

    Raises:
        ValueError: If rows of two parts differ in type or shape.
    """
    _check_alike(parts)
    digests = {
        name: [blake2b(row.tobytes(), digest_size=16).digest() for row in array]
        for name, array in parts.items()
    }
    numbers, _ = _number_rows(digests)
    return LeakReport(_find_leaks(numbers, lambda a, b: iter([_equal(a, b)])), 1.0)


def _normal_forms(part: str, texts: Sequence[str | None]) -> list[str]:
    forms = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"Row {row} of {part} is {text!r}: every row must be text.")
        forms.append(" ".join(text.casefold().split()))
    return forms


def _check_alike(parts: Mapping[str, np.ndarray]) -> None:
    for (part_a, a), (part_b, b) in pairwise(parts.items()):
        if a.dtype != b.dtype or a.shape[1:] != b.shape[1:]:
            raise ValueError(
                f"Rows of {part_a} are {a.dtype} of shape {a.shape[1:]}, rows of {part_b} "
                f"{b.dtype} of shape {b.shape[1:]}: all parts must have rows of one kind."
            )


def _number_rows(
    parts: Mapping[str, Sequence[_Row]],
) -> tuple[dict[str, Int[np.ndarray, " rows"]], list[_Row]]:
    """(number of each row, what each number stands for): equal rows have one number."""
    number: dict[_Row, int] = {}
    numbers = {
        name: np.array([number.setdefault(row, len(number)) for row in rows], dtype=np.int64)
        for name, rows in parts.items()
    }
    return numbers, list(number)


def _equal(a: Int[np.ndarray, " p"], b: Int[np.ndarray, " q"]) -> Pairs:
    shared = np.intersect1d(a, b)
    return shared, shared, np.ones(len(shared))


def _find_leaks(
    numbers: Mapping[str, Int[np.ndarray, " rows"]], find_pairs: _FindPairs
) -> tuple[Leak, ...]:
    leaks = []
    for part_a, part_b in combinations(numbers, 2):
        matches = _match_rows(numbers[part_a], numbers[part_b], find_pairs)
        found = [Leak(part_a, a, part_b, b, similarity) for (a, b), similarity in matches.items()]
        leaks += sorted(found, key=lambda leak: (-leak.similarity, leak.row_a, leak.row_b))
    return tuple(leaks)


def _match_rows(
    a: Int[np.ndarray, " p"], b: Int[np.ndarray, " q"], find_pairs: _FindPairs
) -> dict[tuple[int, int], float]:
    """Similarity of each row of a to its closest row of b, and the other way round."""
    distinct_a, first_a = np.unique(a, return_index=True)
    distinct_b, first_b = np.unique(b, return_index=True)
    in_b = in_a = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    for of_a, of_b, similarity in find_pairs(distinct_a, distinct_b):
        row_a = first_a[np.searchsorted(distinct_a, of_a)]
        row_b = first_b[np.searchsorted(distinct_b, of_b)]
        in_b = _closest(in_b, (of_a, row_b, similarity))
        in_a = _closest(in_a, (of_b, row_a, similarity))
    matches = {(row, other): similarity for row, other, similarity in _of_rows(a, in_b)}
    return matches | {(other, row): similarity for row, other, similarity in _of_rows(b, in_a)}


def _closest(pairs: Pairs, more: Pairs) -> Pairs:
    """The pair of each first item whose similarity is largest, of equals the lowest second."""
    of, to, similarity = (np.concatenate(both) for both in zip(pairs, more, strict=True))
    order = np.lexsort((to, -similarity, of))
    starts = np.diff(of[order], prepend=-1) > 0
    best = order[starts]
    return of[best], to[best], similarity[best]


def _of_rows(numbers: Int[np.ndarray, " rows"], closest: Pairs) -> _Matches:
    """(row, row of the other part, similarity) for each row whose number has a match."""
    of, to, similarity = closest
    rows = np.flatnonzero(np.isin(numbers, of))
    at = np.searchsorted(of, numbers[rows])
    return zip(rows.tolist(), to[at].tolist(), similarity[at].tolist(), strict=True)

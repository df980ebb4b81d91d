"""Rows belong to groups (a film, a document, a game), and a split keeps each group whole."""

from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from jaxtyping import Int


def group_codes(groups: Iterable[Hashable]) -> tuple[Int[np.ndarray, " n"], list[Hashable]]:
    """The groups as numbers: (code of each row, name of each code), by first appearance.

    Raises:
        ValueError: If a row has no group (None or NaN).
    """
    names = groups.tolist() if isinstance(groups, np.ndarray) else list(groups)
    numbers: dict[Hashable, int] = {}
    codes = np.empty(len(names), dtype=np.int64)
    for row, name in enumerate(names):
        if name is None or name != name:  # NaN alone differs from itself
            raise ValueError(
                f"Row {row} has no group ({name}): give every row one, or leave the row out."
            )
        codes[row] = numbers.setdefault(name, len(numbers))
    return codes, list(numbers)


def split_groups(
    groups: Iterable[Hashable], fractions: Mapping[str, float], *, seed: int
) -> dict[str, Int[np.ndarray, " rows"]]:
    """Row numbers of each part, ascending; no group is in two parts.

    Which part a group goes to depends on the groups' names and the seed: not on labels, on how
    many rows a group has, nor on the order of rows. The fractions are of groups, and every part
    gets at least one. A name is known by its repr (text, numbers, tuples of these).

    Args:
        groups: Group of each row.
        fractions: Share of the groups for each part, adding up to 1.
        seed: Another seed gives another split.

    Raises:
        ValueError: If a fraction is not positive, they do not add up to 1, or there are fewer
            groups than parts.
    """
    codes, names = group_codes(groups)
    _check_fractions(fractions, len(names))
    shuffled = sorted(range(len(names)), key=lambda code: _digest(names[code], seed))
    part_of_group = np.empty(len(names), dtype=np.int64)
    for part, (start, end) in enumerate(pairwise(_cuts(list(fractions.values()), len(names)))):
        part_of_group[shuffled[start:end]] = part
    part_of_row = part_of_group[codes]
    return {name: np.flatnonzero(part_of_row == part) for part, name in enumerate(fractions)}


def _check_fractions(fractions: Mapping[str, float], groups: int) -> None:
    for name, fraction in fractions.items():
        if not fraction > 0:
            raise ValueError(f"Part {name!r} has the fraction {fraction}: it must be above 0.")
    total = sum(fractions.values())
    if abs(total - 1) > 1e-6:
        raise ValueError(f"The fractions {dict(fractions)} add up to {total:g}: they must give 1.")
    if groups < len(fractions):
        raise ValueError(
            f"{groups} groups cannot fill {len(fractions)} parts: "
            "use fewer parts, or data with more groups."
        )


def _digest(name: Hashable, seed: int) -> bytes:
    return blake2b(f"{seed}:{name!r}".encode(), digest_size=16).digest()


def _cuts(fractions: list[float], groups: int) -> list[int]:
    """Where each part ends among the shuffled groups: rounded shares, one group at the least."""
    cuts = [0]
    for part, share in enumerate(np.cumsum(fractions), start=1):
        parts_to_come = len(fractions) - part
        cuts.append(min(max(round(share * groups), cuts[-1] + 1), groups - parts_to_come))
    return cuts

"""Labelled texts and their training, dev and test parts, split by group."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from worldscope.measures import split_groups
from worldscope.worlds.reviews import load_reviews
from worldscope.worlds.world import World

FRACTIONS = {"train": 0.5, "dev": 0.15, "test": 0.35}
"""Shares of the groups, where a data set brings no split of its own."""
INNER_FRACTIONS = {"train": 0.85, "dev": 0.15}
"""Shares of the groups of its training part, where it brings no dev part."""


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Texts whose label is known."""

    name: str
    texts: list[str]
    labels: Int[np.ndarray, " n"]
    """0 or 1."""
    groups: np.ndarray
    """What must stay together in a split, for each text."""
    splits: np.ndarray
    """The part that the data set itself puts each text in; empty strings if it has none."""

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(cls, world: World) -> "LabelledTexts":
        """The rows of a world whose label is known."""
        known = world.labelled("label")
        own = known.values("split") if "split" in known.dataset.column_names else [""] * len(known)
        return cls(
            known.name,
            known.inputs,
            np.asarray(known.values("label"), dtype=np.int64),
            np.asarray(known.groups, dtype=object),  # one long name would widen all of them
            np.asarray(own),
        )

    def take(self, rows: Int[np.ndarray, " m"]) -> "LabelledTexts":
        """Some of the rows."""
        texts = [self.texts[row] for row in rows]
        return LabelledTexts(
            self.name, texts, self.labels[rows], self.groups[rows], self.splits[rows]
        )


def load_texts(name: str, data: str | None, *, limit: int | None, seed: int) -> LabelledTexts:
    """A review set by name, at most `limit` texts of each of its own parts."""
    return draw(LabelledTexts.of(load_reviews(name, data=data)), limit, seed)


def draw(texts: LabelledTexts, limit: int | None, seed: int) -> LabelledTexts:
    """At most `limit` texts of each part, drawn at random, in their old order.

    Raises:
        ValueError: If the limit is below 1.
    """
    if limit is None:
        return texts
    if limit < 1:
        raise ValueError(f"limit is {limit}; it must be 1 or more")
    generator = np.random.default_rng(seed)
    kept = []
    for part in np.unique(texts.splits):
        rows = np.flatnonzero(texts.splits == part)
        kept.append(generator.permutation(rows)[:limit])
    return texts.take(np.sort(np.concatenate(kept)))


def split_three(texts: LabelledTexts, seed: int) -> dict[str, Int[np.ndarray, " m"]]:
    """Rows for fitting (train), choosing (dev) and reporting (test); no group is in two of them.

    A data set's own test and dev parts are kept; what it lacks is split off by group.

    Raises:
        ValueError: If there are too few groups, or a part has not both labels.
    """
    parts = _split(texts, seed)
    for part, rows in parts.items():
        labels = np.unique(texts.labels[rows])
        if len(labels) < 2:
            raise ValueError(
                f"the {part} part of {texts.name} has {len(rows)} texts, all of label "
                f"{', '.join(map(str, labels))}, and needs both: give more texts, or a larger limit"
            )
    return parts


def _split(texts: LabelledTexts, seed: int) -> dict[str, Int[np.ndarray, " m"]]:
    own = {part: np.flatnonzero(texts.splits == part) for part in ("train", "dev", "test")}
    if len(own["test"]) and len(own["dev"]):
        return own
    within, wanted = own["train"], INNER_FRACTIONS
    if not len(own["test"]):
        within, wanted = np.arange(len(texts)), FRACTIONS
    groups = texts.groups[within]
    if len(set(groups)) < len(wanted):
        raise ValueError(
            f"{texts.name} has {len(set(groups))} groups of texts and {', '.join(wanted)} need one "
            "each: give more texts, or a larger limit"
        )
    split = split_groups(groups, wanted, seed=seed)
    return own | {part: within[rows] for part, rows in split.items()}

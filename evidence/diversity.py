"""How varied generated text is."""

from collections.abc import Sequence


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of word n-grams that differ from one another, over all texts together.

    1 if none occurs twice, near 0 for text that repeats itself; NaN where no text has n words.
    Longer texts repeat more, so compare like amounts of text.

    Source: Li et al. 2016, "A diversity-promoting objective function for neural conversation
    models", section 5.2.
    """
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        words = text.lower().split()
        grams = list(zip(*(words[shift:] for shift in range(n)), strict=False))
        seen.update(grams)
        total += len(grams)
    return len(seen) / total if total else float("nan")

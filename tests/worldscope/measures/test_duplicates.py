"""Leaks between parts, against brute force over all pairs and a list of known duplicates."""

import csv
import gzip
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worldscope.measures import Leak, find_row_leaks, find_text_leaks
from worldscope.measures.near_duplicates import shingle_sets, similar_pairs


def shingles(text: str) -> set[tuple[str, ...]]:
    """Three words each; the words of a short text as one."""
    words = "".join(x if x.isalnum() else " " for x in text.casefold()).split()
    if len(words) < 3:
        return {tuple(words)} if words else set()
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


def similarity(a: str, b: str) -> float:
    if " ".join(a.casefold().split()) == " ".join(b.casefold().split()):
        return 1.0
    set_a, set_b = shingles(a), shingles(b)
    return len(set_a & set_b) / len(set_a | set_b) if set_a and set_b else 0.0


def closest(row: str, others: list[str], threshold: float) -> tuple[int, float] | None:
    """The first of the most similar rows, and its similarity."""
    scores = [similarity(row, other) for other in others]
    best = max(scores, default=0.0)
    return (scores.index(best), best) if best >= threshold - 1e-9 else None


def brute_force(parts: dict[str, list[str]], threshold: float) -> set[Leak]:
    leaks = set()
    for a, b in combinations(parts, 2):
        for row, text in enumerate(parts[a]):
            if match := closest(text, parts[b], threshold):
                leaks.add(Leak(a, row, b, *match))
        for row, text in enumerate(parts[b]):
            if match := closest(text, parts[a], threshold):
                leaks.add(Leak(a, match[0], b, row, match[1]))
    return leaks


TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "B", "c,", "é", "!"]), max_size=12).map(" ".join),
    max_size=8,
)


@settings(max_examples=200)
@given(
    parts=st.fixed_dictionaries({"train": TEXTS, "dev": TEXTS, "test": TEXTS}),
    threshold=st.sampled_from([0.2, 0.5, 0.6, 0.8, 1.0]),
)
@example({"train": [], "dev": [""], "test": ["", "!"]}, 0.8)
@example({"train": ["a b a b c"], "dev": ["a b a b é"], "test": []}, 0.5)
def test_leaks_are_those_of_brute_force(parts: dict[str, list[str]], threshold: float) -> None:
    report = find_text_leaks(parts, threshold=threshold)
    assert len(report.leaks) == len(set(report.leaks))
    assert set(report.leaks) == brute_force(parts, threshold)


def test_every_pair_is_found_however_small_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list("abc"), size=30)) for _ in range(60)]
    sets, a, b = shingle_sets(texts), np.arange(30), np.arange(30, 60)
    expected = {
        (i, j): similarity(texts[i], texts[j])
        for i in range(30)
        for j in range(30, 60)
        if similarity(texts[i], texts[j]) >= 0.5
    }
    assert len(expected) > 50
    for limit in (1, 7, 1 << 20):
        monkeypatch.setattr("worldscope.measures.near_duplicates._PAIRS", limit)
        monkeypatch.setattr("worldscope.measures.near_duplicates._SHINGLES", limit)
        found = {
            (i, j): score
            for block in similar_pairs(sets, a, b, threshold=0.5)
            for i, j, score in zip(*(column.tolist() for column in block), strict=True)
        }
        assert found == pytest.approx(expected)


def test_case_white_space_and_punctuation_do_not_hide_a_copy() -> None:
    train = ["A fine film,  truly\nfine.", "Not this one at all"]
    test = ["something else entirely here", "a FINE film, truly fine.", "a fine film truly fine"]
    assert find_text_leaks({"train": train, "test": test}).leaks == (
        Leak("train", 0, "test", 1, 1.0),
        Leak("train", 0, "test", 2, 1.0),
    )


def test_seven_words_in_two_hundred_stay_under_the_default_threshold_and_eight_do_not() -> None:
    words = [f"word{number}" for number in range(200)]

    def changed(count: int) -> str:
        places = {10 + 20 * i for i in range(count)}
        return " ".join("other" if i in places else word for i, word in enumerate(words))

    def leaks(count: int) -> int:
        return len(find_text_leaks({"a": [" ".join(words)], "b": [changed(count)]}).leaks)

    assert (leaks(7), leaks(8)) == (1, 0)


def test_copies_within_one_part_are_no_leak() -> None:
    assert (
        find_text_leaks({"train": ["the same text"] * 3, "test": ["some other text"]}).leaks == ()
    )


def test_many_copies_give_one_leak_for_each_row() -> None:
    """Not one for each pair of rows, of which there are a million."""
    report = find_text_leaks({"train": ["one two three"] * 1000, "test": ["one two three"] * 1000})
    assert {leak.row_a for leak in report.leaks} == set(range(1000))
    assert {leak.row_b for leak in report.leaks} == set(range(1000))
    assert len(report.leaks) == 1999


def test_the_warning_names_parts_and_the_first_rows_and_says_what_to_do() -> None:
    copied = [f"copied text number {number}" for number in range(9)]
    parts = {"train": ["only in train here", *copied], "dev": ["dev has this one"], "test": copied}
    warning = find_text_leaks(parts).warning
    assert warning.startswith("train and test share rows, 9 of train and 9 of test: 1 and 0 (1.00)")
    assert "5 and 4 (1.00), ..." in warning
    assert "6 and 5" not in warning
    assert "dev" not in warning
    assert "leave them out of one part" in warning


def test_without_leaks_there_is_no_warning() -> None:
    assert (
        find_text_leaks({"train": ["this is one text"], "test": ["and that another"]}).warning == ""
    )


def test_what_is_not_text_and_a_threshold_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"Row 1 of dev is None: every row must be text\."):
        find_text_leaks({"train": ["fine"], "dev": ["fine", None]})
    for threshold in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            find_text_leaks({"train": []}, threshold=threshold)


@given(
    a=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6),
    b=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=6),
)
def test_rows_of_arrays_leak_where_they_are_equal(
    a: list[tuple[int, int]], b: list[tuple[int, int]]
) -> None:
    parts = {"train": np.array(a).reshape(-1, 2), "test": np.array(b).reshape(-1, 2)}
    expected = {Leak("train", i, "test", b.index(row), 1.0) for i, row in enumerate(a) if row in b}
    expected |= {Leak("train", a.index(row), "test", i, 1.0) for i, row in enumerate(b) if row in a}
    parts = {name: rows.astype(np.float32) for name, rows in parts.items()}
    assert set(find_row_leaks(parts).leaks) == expected


def test_rows_of_different_types_or_shapes_are_named() -> None:
    rows = np.zeros((2, 3), dtype=np.float32)
    for other in (rows.astype(np.float64), np.zeros((2, 4), dtype=np.float32)):
        with pytest.raises(ValueError, match="all parts must have rows of one kind"):
            find_row_leaks({"train": rows, "test": other})


def load_reviews(folder: Path, part: str) -> dict[tuple[str, int], str]:
    """Text by (class, id)."""
    with gzip.open(folder / f"imdb_{part}.jsonl.gz", "rt") as lines:
        reviews = map(json.loads, lines)
        return {(part.split("_")[1], int(review["id"])): review["text"] for review in reviews}


@pytest.mark.slow
def test_every_training_review_that_is_known_to_occur_in_test_is_named(shared_data: Path) -> None:
    folder = shared_data / "imdb"
    train = {
        k: v for c in ("neg", "pos", "unsup") for k, v in load_reviews(folder, f"train_{c}").items()
    }
    test = {k: v for c in ("neg", "pos") for k, v in load_reviews(folder, f"test_{c}").items()}
    with (folder / "train_texts_also_in_test.csv").open() as lines:
        known = {(row["train_part"], int(row["train_id"])) for row in csv.DictReader(lines)}
    report = find_text_leaks({"train": list(train.values()), "test": list(test.values())})
    names = list(train)
    named = {names[leak.row_a] for leak in report.leaks}
    assert len(known) == 393
    assert known <= named
    assert len(named - known) <= 1

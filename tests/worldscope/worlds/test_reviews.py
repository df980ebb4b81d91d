"""Facts about the sets of reviews, checked on the data themselves."""

import gzip
import json
import re
import string
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from worldscope.worlds.reviews import load_reviews
from worldscope.worlds.world import World

PARTS = ("train_pos", "train_neg", "train_unsup", "test_pos", "test_neg")


@pytest.fixture(scope="module")
def short() -> World:
    return load_reviews("short")


@pytest.fixture(scope="module")
def imdb(shared_data: Path) -> World:
    return load_reviews("imdb", data=shared_data)


@pytest.fixture(scope="module")
def sst(shared_data: Path) -> World:
    return load_reviews("sst", data=shared_data)


@pytest.fixture(scope="module")
def raw_imdb(shared_data: Path) -> dict[str, list[dict]]:
    """The records of each part as the files hold them, each with the film on its line."""
    records = {}
    for part in PARTS:
        with gzip.open(shared_data / "imdb" / f"imdb_{part}.jsonl.gz", "rt") as lines:
            rows = sorted(map(json.loads, lines), key=lambda row: row["id"])
        with gzip.open(shared_data / "imdb" / f"movie_ids_{part}.txt.gz", "rt") as lines:
            films = lines.read().split()
        records[part] = [row | {"film": film} for row, film in zip(rows, films, strict=True)]
    return records


def normal_form(text: str) -> bytes:
    """The letters and digits of a text, without regard to case."""
    plain = text.lower().encode("ascii", errors="ignore")
    return plain.translate(None, delete=f"{string.punctuation}{string.whitespace}".encode())


def of(world: World, *splits: str) -> World:
    return world.select(lambda row: row["split"] in splits)


def test_short_reviews_are_as_often_positive_as_negative(short: World) -> None:
    counts = Counter(short.values("label"))
    assert counts[1] == counts[0] > 300
    assert set(counts) == {0, 1, None}


def test_short_reviews_without_sentiment_are_the_ones_called_neutral(short: World) -> None:
    for label, device in zip(short.values("label"), short.values("device"), strict=True):
        assert (label is None) == (device == "neutral")
    devices = {"plain", "negation", "contrast", "sarcasm", "neutral"}
    assert set(short.values("device")) == devices


def test_no_short_review_occurs_twice(short: World) -> None:
    assert len({normal_form(text) for text in short.inputs}) == len(short)


def test_a_thing_reviewed_has_one_subject_and_nearly_always_both_sentiments(short: World) -> None:
    labels, subjects = defaultdict(set), defaultdict(set)
    for group, label, subject in zip(
        short.groups, short.values("label"), short.values("subject"), strict=True
    ):
        labels[group].add(label)
        subjects[group].add(subject)
    assert all(len(of_thing) == 1 for of_thing in subjects.values())
    one_sided = [group for group, found in labels.items() if not found >= {0, 1}]
    assert len(one_sided) <= 0.01 * len(labels)
    assert len(labels) > 150


def test_negation_and_contrast_say_nothing_about_sentiment_by_themselves(short: World) -> None:
    counts = Counter(zip(short.values("device"), short.values("label"), strict=True))
    for device in ("negation", "contrast"):
        assert abs(counts[device, 1] - counts[device, 0]) <= 5


def test_no_short_review_is_taken_from_the_real_ones(short: World, imdb: World, sst: World) -> None:
    real = {normal_form(text) for world in (imdb, sst) for text in world.inputs}
    assert real.isdisjoint(map(normal_form, short.inputs))


def test_imdb_has_the_reviews_that_are_left_by_the_rule(
    imdb: World, raw_imdb: dict[str, list[dict]]
) -> None:
    test_films = {row["film"] for part in ("test_pos", "test_neg") for row in raw_imdb[part]}
    test_texts = {
        normal_form(row["text"]) for part in ("test_pos", "test_neg") for row in raw_imdb[part]
    }
    expected = Counter(
        {"test": len(raw_imdb["test_pos"]) + len(raw_imdb["test_neg"])}
        | {"train": 0, "unlabelled": 0}
    )
    for part in ("train_pos", "train_neg", "train_unsup"):
        for row in raw_imdb[part]:
            if row["film"] not in test_films and normal_form(row["text"]) not in test_texts:
                expected["unlabelled" if part == "train_unsup" else "train"] += 1
    assert Counter(imdb.values("split")) == expected
    assert expected == {"train": 24_875, "unlabelled": 49_730, "test": 25_000}


def test_no_text_and_no_film_of_imdbs_test_part_is_trained_on(imdb: World) -> None:
    test, rest = of(imdb, "test"), of(imdb, "train", "unlabelled")
    assert set(test.groups).isdisjoint(rest.groups)
    assert set(map(normal_form, test.inputs)).isdisjoint(map(normal_form, rest.inputs))


def test_imdbs_labels_are_the_ratings_and_the_unlabelled_have_none(
    imdb: World, raw_imdb: dict[str, list[dict]]
) -> None:
    ratings = {
        (row["text"], row["film"]): row["rating"] for rows in raw_imdb.values() for row in rows
    }
    columns = zip(imdb.inputs, imdb.groups, imdb.values("label"), imdb.values("split"), strict=True)
    for text, film, label, split in columns:
        if split == "unlabelled":
            assert label is None
        else:
            assert label == int(ratings[text, film] >= 7)
    counts = Counter(of(imdb, "test").values("label"))
    assert counts == {1: 12_500, 0: 12_500}


def test_neighbouring_reviews_share_names_where_they_are_said_to_share_a_film(
    raw_imdb: dict[str, list[dict]],
) -> None:
    """Reviews of a film lie together and name its people, so a map off by one line would show."""
    for part in ("train_pos", "test_neg"):
        rows = raw_imdb[part][:4000]
        names = [set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", row["text"])) for row in rows]
        shared = [len(here & there) for here, there in pairwise(names)]

        def of_one_film(shift: int, rows: list = rows, shared: list = shared) -> float:
            """Mean names shared by neighbours of one film less those of two, on shifted films."""
            same, other = [], []
            for index in range(3, len(shared) - 3):
                pair = rows[index + shift]["film"] == rows[index + shift + 1]["film"]
                (same if pair else other).append(shared[index])
            return sum(same) / len(same) - sum(other) / len(other)

        contrasts = {shift: of_one_film(shift) for shift in range(-3, 4)}
        runner_up = max(value for shift, value in contrasts.items() if shift)
        assert contrasts[0] > 1
        assert contrasts[0] > 2 * runner_up


def test_sst_has_the_paper_s_three_splits(sst: World) -> None:
    assert Counter(sst.values("split")) == {"train": 6_920, "dev": 872, "test": 1_821}
    assert set(sst.values("label")) == {0, 1}
    assert all(text.strip() for text in sst.inputs)
    assert len(set(sst.groups)) == len(sst)
    positive = Counter(zip(sst.values("split"), sst.values("label"), strict=True))
    assert positive["train", 1] == 3_610
    assert positive["dev", 1] == 444
    assert positive["test", 1] == 909


def test_an_unknown_set_names_the_three(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="'yelp'; choose short, imdb or sst"):
        load_reviews("yelp", data=tmp_path)


@pytest.mark.parametrize("name", ["imdb", "sst"])
def test_a_folder_without_the_set_says_what_it_should_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"give the folder that holds {name}/"):
        load_reviews(name, data=tmp_path)


def on_the_hub(name: str, *, split: str) -> Dataset:
    """Three rows of each split, shaped as the hub's IMDB and SST-2 are; -1 is unknown there."""
    column = {"stanfordnlp/imdb": "text", "stanfordnlp/sst2": "sentence"}[name]
    names = {"stanfordnlp/imdb": ["neg", "pos"], "stanfordnlp/sst2": ["negative", "positive"]}
    features = Features({column: Value("string"), "label": ClassLabel(names=names[name])})
    labels = [-1, -1, -1] if split == "unsupervised" else [1, 0, 1]
    texts = [f"{split} {row}" for row in range(3)]
    return Dataset.from_dict({column: texts, "label": labels}, features=features)


def test_without_a_folder_the_sets_come_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "load_dataset", on_the_hub)
    world = load_reviews("imdb")
    assert Counter(zip(world.values("split"), world.values("label"), strict=True)) == {
        ("train", 1): 2,
        ("train", 0): 1,
        ("test", 1): 2,
        ("test", 0): 1,
        ("unlabelled", None): 3,
    }
    assert world.inputs[:2] == ["train 0", "train 1"]
    assert len(set(world.groups)) == len(world)
    sentences = load_reviews("sst")
    assert sentences.inputs == [f"{s} {row}" for s in ("train", "validation") for row in range(3)]
    assert Counter(sentences.values("split")) == {"train": 3, "test": 3}


def test_a_silent_hub_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any, **__: Any) -> Dataset:
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(FileNotFoundError, match="'stanfordnlp/imdb' is neither a file .*: offline"):
        load_reviews("imdb")

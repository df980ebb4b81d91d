"""Reviews with their sentiment: a set written for this project, IMDB and SST.

IMDB: Maas et al. 2011, "Learning word vectors for sentiment analysis". SST: Socher et al. 2013,
"Recursive deep models for semantic compositionality over a sentiment treebank", as binary sentences
in the split of Radford et al. 2017.
"""

import csv
import gzip
from pathlib import Path

from worldscope.worlds.files import read_table
from worldscope.worlds.world import State, World

SENTIMENT = State("label", "binary", classes=("negative", "positive"))
_SHIPPED = Path(__file__).parent / "data"
_IMDB_PARTS = (("train", "pos"), ("train", "neg"), ("train", "unsup"), ("test", "pos"), ("test", "neg"))


def load_reviews(name: str = "short", *, data: str | Path | None = None) -> World:
    """A world of reviews.

    Args:
        name: `short` (written for this project, ships with it), `imdb` or `sst`.
        data: Folder that holds `imdb/` and `sst/`; None reads those from the hub.

    Returns:
        A world with columns `text`, `group`, `label` (1 positive, 0 negative, null neutral or
        unknown) and `split`; `short` adds `device` and `subject`.

    Raises:
        LookupError: If the name is not one of the three.
        FileNotFoundError: If the folder does not hold the files.
    """
    loaders = {"short": lambda _: short_reviews(), "imdb": imdb, "sst": sst}
    if name not in loaders:
        raise LookupError(f"no set of reviews is called {name!r}; choose {', '.join(loaders)}")
    return loaders[name](None if data is None else Path(data))


def short_reviews() -> World:
    """Short reviews of invented films and other things, written for this project.

    Groups are the things reviewed. `device` is plain, negation, contrast, sarcasm or neutral.
    """
    import pandas as pd

    parts = [read_table(_SHIPPED / f"short_reviews_{part}.jsonl") for part in ("films", "other")]
    return _world("short", pd.concat(parts, ignore_index=True))


def imdb(data: Path | None = None) -> World:
    """The Large Movie Review Dataset; groups are films, where the files say which.

    Reviews of the training and unlabelled parts whose text, or whose film, occurs in the test part
    are left out.
    """
    import pandas as pd

    if data is None:
        return _hub_world("imdb", "stanfordnlp/imdb", ("train", "test", "unsupervised"))
    folder = _existing(data / "imdb")
    frame = pd.concat([_imdb_part(folder, *part) for part in _IMDB_PARTS], ignore_index=True)
    leaked = _leaked_ids(folder)
    test_films = set(frame.loc[frame["split"] == "test", "group"])
    train = frame["split"] != "test"
    drop = train & (frame["group"].isin(test_films) | pd.Series([key in leaked for key in frame["key"]]))
    return _world("imdb", frame[~drop].drop(columns="key"))


def sst(data: Path | None = None) -> World:
    """Binary Stanford Sentiment sentences in three splits; each sentence is its own group."""
    import pandas as pd

    if data is None:
        return _hub_world("sst", "stanfordnlp/sst2", ("train", "validation"))
    folder = _existing(data / "sst")
    parts = []
    for split in ("train", "dev", "test"):
        frame = read_table(folder / f"{split}_binary_sent.csv").rename(columns={"sentence": "text"})
        parts.append(frame.assign(split=split))
    frame = pd.concat(parts, ignore_index=True)
    return _world("sst", frame.assign(group=[f"sentence {row}" for row in range(len(frame))]))


def _imdb_part(folder: Path, split: str, part: str):  # noqa: ANN202
    frame = read_table(folder / f"imdb_{split}_{part}.jsonl.gz")
    with gzip.open(folder / f"movie_ids_{split}_{part}.txt.gz", "rt") as lines:
        films = [line.strip() for line in lines]
    return frame[["text", "label"]].assign(
        split="unlabelled" if part == "unsup" else split,
        group=[films[int(review)] for review in frame["id"]],
        key=[(part, int(review)) for review in frame["id"]],
    )


def _leaked_ids(folder: Path) -> set[tuple[str, int]]:
    with (folder / "train_texts_also_in_test.csv").open() as lines:
        return {(row["train_part"], int(row["train_id"])) for row in csv.DictReader(lines)}


def _hub_world(name: str, hub_name: str, splits: tuple[str, ...]) -> World:
    import pandas as pd

    from worldscope.worlds.files import _read_hub

    parts = []
    for split in splits:
        frame = _read_hub(hub_name, split).rename(columns={"sentence": "text"})
        named = {"unsupervised": "unlabelled", "validation": "test"}.get(split, split)
        parts.append(frame.assign(split=named)[["text", "label", "split"]])
    frame = pd.concat(parts, ignore_index=True)
    frame["label"] = frame["label"].where(frame["label"] >= 0)
    return _world(name, frame.assign(group=[f"review {row}" for row in range(len(frame))]))


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; --data must name the folder that holds it")
    return folder


def _world(name: str, frame) -> World:  # noqa: ANN001
    from datasets import Dataset

    columns = {column: frame[column].tolist() for column in frame.columns}
    columns["label"] = [None if label != label or label is None else int(label) for label in columns["label"]]
    return World(name, Dataset.from_dict(columns), "text", "group", (SENTIMENT,))

"""Reviews with their sentiment: a set written for this project, IMDB and SST.

IMDB: Maas et al. 2011, "Learning word vectors for sentiment analysis". SST: Socher et al. 2013,
"Recursive deep models for semantic compositionality over a sentiment treebank", as binary sentences
in the split of Radford et al. 2017.
"""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

from worldscope.worlds.files import read_hub, read_table
from worldscope.worlds.world import State, World

if TYPE_CHECKING:
    import pandas as pd

SENTIMENT = State("label", "binary", classes=("negative", "positive"))
_SHIPPED = Path(__file__).parent / "data"
_IMDB_PARTS = {"train": ("pos", "neg", "unsup"), "test": ("pos", "neg")}


def load_reviews(name: str = "short", *, data: str | Path | None = None) -> World:
    """A world of reviews.

    Args:
        name: `short` (written for this project, ships with it), `imdb` or `sst`.
        data: Folder that holds `imdb/` and `sst/`; None reads those from the hub.

    Returns:
        A world with columns `text`, `group` and `label` (1 positive, 0 negative, null neutral or
        unknown). `imdb` and `sst` add `split`; `short` adds `device` and `subject`.

    Raises:
        LookupError: If the name is not one of the three.
        FileNotFoundError: If the folder does not hold the files, or the hub does not answer.
    """
    folder = None if data is None else Path(data)
    match name:
        case "short":
            return short_reviews()
        case "imdb":
            return imdb(folder)
        case "sst":
            return sst(folder)
    raise LookupError(f"no set of reviews is called {name!r}; choose short, imdb or sst")


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
    train, test = (
        pd.concat([_imdb_part(folder, split, part) for part in parts])
        for split, parts in _IMDB_PARTS.items()
    )
    seen_in_test = train["group"].isin(test["group"]) | train["key"].isin(_leaked(folder))
    return _world("imdb", pd.concat([train.loc[~seen_in_test], test]).drop(columns="key"))


def sst(data: Path | None = None) -> World:
    """Binary Stanford Sentiment sentences in three splits; each sentence is its own group.

    The hub has another cut of them: phrases too in `train`, its `validation` here called `test`.
    """
    import pandas as pd

    if data is None:
        return _hub_world("sst", "stanfordnlp/sst2", ("train", "validation"))
    folder = _existing(data / "sst")
    parts = []
    for split in ("train", "dev", "test"):
        frame = read_table(folder / f"{split}_binary_sent.csv", ["sentence"])
        parts.append(frame.rename(columns={"sentence": "text"}).assign(split=split))
    frame = pd.concat(parts, ignore_index=True)
    return _world("sst", frame.assign(group=[f"sentence {row}" for row in range(len(frame))]))


def _imdb_part(folder: Path, split: str, part: str) -> "pd.DataFrame":
    frame = read_table(folder / f"imdb_{split}_{part}.jsonl.gz")
    with gzip.open(folder / f"movie_ids_{split}_{part}.txt.gz", "rt") as lines:
        films = [line.strip() for line in lines]  # of review 0, 1, …
    return frame[["text", "label"]].assign(
        split="unlabelled" if part == "unsup" else split,
        group=[films[review] for review in frame["id"]],
        key=[f"{part} {review}" for review in frame["id"]],
    )


def _leaked(folder: Path) -> list[str]:
    """Keys of the training reviews whose text is in the test part too."""
    frame = read_table(folder / "train_texts_also_in_test.csv")
    return [
        f"{part} {review}"
        for part, review in zip(frame["train_part"], frame["train_id"], strict=True)
    ]


def _hub_world(name: str, hub_name: str, splits: tuple[str, ...]) -> World:
    import pandas as pd

    parts = []
    for split in splits:
        frame = read_hub(hub_name, split).rename(columns={"sentence": "text"})
        named = {"unsupervised": "unlabelled", "validation": "test"}.get(split, split)
        parts.append(frame.assign(split=named)[["text", "label", "split"]])
    frame = pd.concat(parts, ignore_index=True)
    return _world(name, frame.assign(group=[f"review {row}" for row in range(len(frame))]))


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; give the folder that holds {folder.name}/"
        )
    return folder


def _world(name: str, frame: "pd.DataFrame") -> World:
    from datasets import Dataset

    columns = {column: frame[column].tolist() for column in frame.columns}
    known = zip(frame["label"], frame["label"].notna(), strict=True)
    columns["label"] = [int(label) if there else None for label, there in known]
    return World(name, Dataset.from_dict(columns), "text", "group", (SENTIMENT,))

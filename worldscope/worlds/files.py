"""Worlds from a file (jsonl, csv, parquet, txt, plain or gzipped) or from the hub by name."""

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING

from worldscope.worlds.world import State, World

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".jsonl", ".csv", ".parquet", ".txt")


def load_world(
    source: str | Path,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    group_column: str | None = None,
    split: str = "train",
) -> World:
    """Texts, and if wanted their labels, from a file or from the hub.

    Args:
        source: Path of a file, a folder of such files, or a data set's name on the hub.
        text_column: Column with the text. A `.txt` file has one text a line.
        label_column: Column with two classes or more; nulls are kept and left out by whoever
            needs labels. Strings become 0, 1, … in sorted order.
        group_column: Column of what must stay together in a split; if None each row is its own.
        split: Which split, for a name on the hub.

    Raises:
        FileNotFoundError: If the source is neither here nor looks like a name on the hub.
        LookupError: If a column is missing.
        ValueError: If a file cannot be read as what its name says.
    """
    path = Path(source)
    if path.exists():
        frame = _read_path(path)
    elif path.suffix in (*SUFFIXES, ".gz") or path.is_absolute() or str(source).startswith("."):
        raise FileNotFoundError(f"there is no file {path}")
    else:
        frame = _read_hub(str(source), split)
    for column in (text_column, label_column, group_column):
        if column is not None and column not in frame.columns:
            raise LookupError(
                f"{source} has no column {column!r}; its columns are {', '.join(map(str, frame.columns))}"
            )
    return _as_world(path.name, frame, text_column, label_column, group_column)


def read_table(path: Path) -> "pd.DataFrame":
    """One file as a table.

    Raises:
        ValueError: If the suffix is not one of `SUFFIXES`, the text is not UTF-8, or it cannot be
            parsed.
    """
    import pandas as pd

    kind = Path(path.name.removesuffix(".gz")).suffix
    if kind not in SUFFIXES:
        raise ValueError(f"{path} is not one of {', '.join(SUFFIXES)} (or one of these with .gz)")
    if kind == ".parquet":
        return pd.read_parquet(path)
    text = _read_text(path)
    if kind == ".csv":
        return _parse_csv(path, text)
    lines = [line for line in text.split("\n") if line.strip()]
    return pd.DataFrame({"text": lines} if kind == ".txt" else _parse_json_lines(path, text))


def _read_path(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if path.is_file():
        return read_table(path)
    files = sorted(file for file in path.iterdir() if file.name.removesuffix(".gz").endswith(SUFFIXES))
    if not files:
        raise FileNotFoundError(f"the folder {path} holds no {', '.join(SUFFIXES)} file")
    return pd.concat([read_table(file) for file in files], ignore_index=True)


def _read_text(path: Path) -> str:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}; save it as UTF-8"
        ) from None


def _parse_csv(path: Path, text: str) -> "pd.DataFrame":
    from io import StringIO

    import pandas as pd

    try:
        return pd.read_csv(StringIO(text))
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} cannot be read as csv: {str(error).strip()}") from None


def _parse_json_lines(path: Path, text: str) -> list[dict]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} line {number} is not JSON: {error.msg}") from None
    return rows


def _read_hub(name: str, split: str) -> "pd.DataFrame":
    from datasets import load_dataset

    try:
        return load_dataset(name, split=split).to_pandas()  # pyright: ignore
    except Exception as error:
        raise FileNotFoundError(
            f"{name!r} is neither a file here nor a data set that the hub gives: {error}"
        ) from error


def _as_world(
    name: str,
    frame: "pd.DataFrame",
    text_column: str,
    label_column: str | None,
    group_column: str | None,
) -> World:
    from datasets import Dataset

    columns: dict[str, list] = {"text": [str(text) for text in frame[text_column]]}
    groups = range(len(frame)) if group_column is None else frame[group_column]
    columns["group"] = [str(group) for group in groups]
    states: tuple[State, ...] = ()
    if label_column is not None:
        columns["label"], classes = _as_classes(frame[label_column])
        kind = "binary" if len(classes) == 2 else "categorical"
        states = (State("label", kind, classes=classes),)
    return World(name, Dataset.from_dict(columns), "text", "group", states)


def _as_classes(column: "pd.Series") -> tuple[list[int | None], tuple[str, ...]]:
    classes = sorted(column.dropna().unique())
    number = {value: index for index, value in enumerate(classes)}
    labels = [None if missing else number[value] for value, missing in zip(column, column.isna(), strict=True)]
    return labels, tuple(str(value) for value in classes)

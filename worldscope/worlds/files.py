"""Worlds from a file (jsonl, csv, parquet, txt, plain or gzipped) or from the hub by name."""

import csv
import gzip
import json
import math
import re
import zlib
from collections.abc import Collection, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from worldscope.worlds.world import State, World

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".jsonl", ".csv", ".parquet", ".txt")
_WHOLE = re.compile(r"-?(0|[1-9]\d*)")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_LIST_OR_NUMBER = re.compile(r"\s*(\[|\{|-?(0|[1-9]\d*)\s*$)")


def load_world(
    source: str | Path,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    group_column: str | None = None,
    keep: Sequence[str] = (),
    split: str = "train",
) -> World:
    """Texts, and if wanted their labels, from a file or from the hub.

    Args:
        source: Path of a file, a folder of such files, or a data set's name on the hub.
        text_column: Column with the text. A `.txt` file has one text a line.
        label_column: Column with two classes or more, which become 0, 1, … in sorted order. Nulls
            are kept, and left out by whoever needs labels.
        group_column: Column of what must stay together in a split; if None each row is its own,
            called by its number, from 0 on, which it keeps in any selection.
        keep: Further columns that the world is to have as they are, such as one of positions. A
            whole number or a JSON list in a csv is read as such.
        split: Which split, for a name on the hub.

    Raises:
        FileNotFoundError: If the source is neither here nor a name that the hub knows.
        LookupError: If a column is missing.
        ValueError: If a file cannot be read as what its name says, a row has no text or no group,
            there are fewer than two classes, or a column to keep mixes kinds of values or has the
            name of one that the world has already.
    """
    path = Path(source)
    named = (text_column, label_column, group_column)
    columns = [*(column for column in named if column is not None), *keep]
    if path.exists():
        frame = _read_path(path, columns, keep, label_column)
    elif path.suffix in (*SUFFIXES, ".gz") or path.is_absolute() or str(source).startswith("."):
        raise FileNotFoundError(f"there is no file {path}")
    else:
        frame = read_hub(str(source), split)
        _check_columns(frame, columns, source)
    return _as_world(path.name, frame, text_column, label_column, group_column, keep)


def read_table(path: Path, as_text: Collection[str] = ("text",)) -> "pd.DataFrame":
    """One file as a table of at least one row.

    In a csv an empty cell, and nothing else, is null.

    Args:
        path: Of the file.
        as_text: Columns whose cells stay as they are in a csv, where "1.50" could be a number.

    Raises:
        ValueError: If the suffix is not one of `SUFFIXES`, the text is not UTF-8, it cannot be
            parsed, or there are no rows.
    """
    import pandas as pd

    match Path(path.name.removesuffix(".gz")).suffix:
        case ".parquet":
            frame = _parse_parquet(path)
        case ".csv":
            frame = _parse_csv(path, as_text)
        case ".jsonl":
            frame = _parse_json_lines(path)
        case ".txt":
            lines = _read_text(path).replace("\r\n", "\n").split("\n")
            frame = pd.DataFrame({"text": [line for line in lines if line.strip()]})
        case _:
            raise ValueError(
                f"{path} is not one of {', '.join(SUFFIXES)} (or one of these with .gz)"
            )
    if frame.empty:
        raise ValueError(f"{path} holds no rows")
    return frame


def read_hub(name: str, split: str) -> "pd.DataFrame":
    """One split of a data set on the hub as a table; a class of −1, unknown there, is null.

    Raises:
        FileNotFoundError: If the hub does not give it.
    """
    from datasets import ClassLabel, load_dataset

    try:
        dataset = load_dataset(name, split=split)
    except Exception as error:  # the hub's client raises many kinds
        raise FileNotFoundError(
            f"{name!r} is neither a file here nor a data set that the hub gives: {error}"
        ) from error
    frame = cast("pd.DataFrame", dataset.to_pandas())
    for column, feature in dataset.features.items():
        if isinstance(feature, ClassLabel):
            frame[column] = frame[column].where(frame[column] >= 0)
    return frame


def _read_path(
    path: Path, columns: Sequence[str], keep: Sequence[str], label_column: str | None
) -> "pd.DataFrame":
    import pandas as pd

    files = [path]
    if path.is_dir():
        named = [f for f in path.iterdir() if f.name.removesuffix(".gz").endswith(SUFFIXES)]
        if not named:
            raise FileNotFoundError(f"the folder {path} holds no {', '.join(SUFFIXES)} file")
        files = sorted(named)
    tables = [read_table(file, columns) for file in files]
    for file, table in zip(files, tables, strict=True):
        _check_columns(table, columns, file)
        if file.name.removesuffix(".gz").endswith(".csv"):
            for column in keep:
                cells = enumerate(table[column])
                table[column] = [_parse_cell(file, column, row, cell) for row, cell in cells]
            if label_column is not None:
                labels = _parse_labels(list(table[label_column]))
                table[label_column] = pd.Series(labels, dtype=object)
    return pd.concat(tables, ignore_index=True)


def _check_columns(frame: "pd.DataFrame", columns: Sequence[str], source: str | Path) -> None:
    for column in columns:
        if column not in frame.columns:
            there = ", ".join(map(str, frame.columns))
            raise LookupError(f"{source} has no column {column!r}; its columns are {there}")


def _read_bytes(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); copy it again") from None


def _read_text(path: Path) -> str:
    raw = _read_bytes(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02x}; save it as UTF-8"
        ) from None


def _parse_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    raw = BytesIO(_read_bytes(path))
    try:
        return pd.read_parquet(raw)
    except (ValueError, OSError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read as parquet: {said}") from None


def _parse_csv(path: Path, as_text: Collection[str]) -> "pd.DataFrame":
    import pandas as pd

    text = _read_text(path)
    _check_header(path, text)
    try:
        frame = pd.read_csv(
            StringIO(text),
            dtype={column: str for column in as_text},
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} cannot be read as csv: {str(error).strip()}") from None
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the surplus for row names
        raise ValueError(
            f"{path} line 2 has more cells than the header; put quotes around text with commas"
        )
    return frame


def _check_header(path: Path, text: str) -> None:
    names = next(csv.reader(StringIO(text, newline="")), [])
    for name in names:
        if name and names.count(name) > 1:
            raise ValueError(f"{path} has {names.count(name)} columns {name!r}; rename all but one")


def _parse_labels(cells: Sequence[Any]) -> list[Any]:
    """Numbers where every cell is one in its usual form, so that no two classes become one."""
    known = {cell for cell in cells if isinstance(cell, str)}
    for form, number in ((_WHOLE, int), (_DECIMAL, float)):
        usual = all(form.fullmatch(cell) for cell in known)
        if usual and len({number(cell) for cell in known} - {math.inf}) == len(known):
            return [number(cell) if cell in known else None for cell in cells]
    return [cell if cell in known else None for cell in cells]


def _parse_cell(path: Path, column: str, row: int, cell: Any) -> Any:
    """The list or the whole number that a cell of a csv holds; any other is as it is."""
    if not isinstance(cell, str) or not _LIST_OR_NUMBER.match(cell):
        return cell
    try:
        return json.loads(cell)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path} row {row} of column {column!r} is {cell!r:.60}, which is not JSON: {error.msg}"
        ) from None


def _parse_json_lines(path: Path) -> "pd.DataFrame":
    import pandas as pd

    lines = enumerate(_read_text(path).split("\n"), start=1)
    rows = [_parse_json(path, number, line) for number, line in lines if line.strip()]
    try:
        return pd.DataFrame(rows)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{path} holds half of a surrogate pair (\\ud800 … \\udfff): {error}"
        ) from None


def _parse_json(path: Path, number: int, line: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} line {number} is not JSON: {error.msg}") from None
    if not isinstance(row, dict):
        raise ValueError(f"{path} line {number} is not a JSON object with a value for each column")
    return row


def _as_world(
    name: str,
    frame: "pd.DataFrame",
    text_column: str,
    label_column: str | None,
    group_column: str | None,
    keep: Sequence[str],
) -> World:
    from datasets import Dataset

    columns: dict[str, list] = {"text": _texts(frame, text_column)}
    columns["group"] = _groups(frame, group_column)
    states: tuple[State, ...] = ()
    if label_column is not None:
        columns["label"], classes = _labels(frame, label_column)
        kind = "binary" if len(classes) == 2 else "categorical"
        states = (State("label", kind, classes=classes),)
    for column in keep:
        if column in columns:
            raise ValueError(f"column {column!r} cannot be kept: the world has one of that name")
        columns[column] = _kept(frame, column)
    return World(name, Dataset.from_dict(columns), "text", "group", states)


def _texts(frame: "pd.DataFrame", column: str) -> list[str]:
    texts = frame[column].tolist()
    for row, (text, missing) in enumerate(zip(texts, frame[column].isna(), strict=True)):
        if not isinstance(text, str) or not text.strip():
            found = "empty" if missing else f"{text!r:.60}, not text"
            raise ValueError(f"row {row} of column {column!r} is {found}; the first row is 0")
    return texts


def _groups(frame: "pd.DataFrame", column: str | None) -> list[str]:
    if column is None:
        return [str(row) for row in range(len(frame))]
    for row, missing in enumerate(frame[column].isna()):
        if missing:
            raise ValueError(f"row {row} has no group in column {column!r}")
    return [str(group) for group in frame[column]]


def _kept(frame: "pd.DataFrame", column: str) -> list:
    import pyarrow as pa

    cells = frame[column].convert_dtypes()  # whole numbers beside nulls are whole again
    values = [None if gone else cell for cell, gone in zip(cells, cells.isna(), strict=True)]
    if any(isinstance(value, list) for value in values):  # one alone needs no list
        values = [v if v is None or isinstance(v, list) else [v] for v in values]
    try:
        return pa.array(values).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"column {column!r} mixes kinds of values: {error}") from None


def _labels(frame: "pd.DataFrame", column: str) -> tuple[list[int | None], tuple[str, ...]]:
    """Index of each row's class, and the names of the classes."""
    values = frame[column]
    if values.dtype != object:  # else they are as they were read
        values = values.convert_dtypes()  # whole numbers beside nulls are whole again
    try:
        classes = sorted(values.dropna().unique())
    except TypeError:
        raise ValueError(
            f"column {column!r} holds neither text throughout nor numbers throughout; a label does"
        ) from None
    if len(classes) < 2:
        found = f"only {str(classes[0])!r}" if classes else "nothing"
        raise ValueError(f"column {column!r} holds {found}; a label needs at least 2 classes")
    number = {value: index for index, value in enumerate(classes)}
    missing = values.isna()
    labels = [None if gone else number[v] for v, gone in zip(values, missing, strict=True)]
    return labels, tuple(str(value) for value in classes)

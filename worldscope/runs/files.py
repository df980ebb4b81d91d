"""Files that are never half-written: replaced whole, or appended to by whole lines."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

_BLOCK = 1 << 16


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes that place if the block ends without error.

    A reader sees the old file or the new one, never a part. When the block raises, the old file
    stays and the temporary one is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_json(value: Any) -> str:
    """One line of JSON; dataclasses, paths, arrays and tensors are written as plain values.

    Raises:
        ValueError: If the value holds anything else that JSON has no form for.
    """
    return json.dumps(value, default=_simplify)


def plain(value: Any) -> Any:
    """What reading the value back from JSON gives: dicts, lists, strings and numbers."""
    return json.loads(to_json(value))


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file."""
    write_lines(path, [value])


def read_lines(path: Path) -> list[Any]:
    """The values in the whole lines of a JSON-lines file.

    Raises:
        ValueError: If a whole line is not JSON; its number is given.
    """
    whole, _, _ = path.read_text("utf-8").rpartition("\n")
    lines = enumerate(whole.split("\n"), start=1) if whole else ()
    return [_parsed(path, number, line) for number, line in lines]


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Replace a JSON-lines file."""
    text = _as_lines(values)
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def append_lines(path: Path, values: Iterable[Any]) -> None:
    """Append values to a JSON-lines file, after removing a line that was cut short."""
    text = _as_lines(values)
    with path.open("a+b") as file:
        file.truncate(_end_of_whole_lines(file))
        file.write(text.encode())


def _parsed(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} line {number} is not JSON ({error.msg}); remove it") from None


def _as_lines(values: Iterable[Any]) -> str:
    return "".join(f"{to_json(value)}\n" for value in values)


def _end_of_whole_lines(file: BinaryIO) -> int:
    """How many bytes there are up to the last line's end."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _simplify(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    to_list = getattr(value, "tolist", None)  # of arrays, tensors and their scalars
    if to_list is not None:
        return to_list()
    raise ValueError(f"a {type(value).__name__} cannot be written as JSON: give plain values.")

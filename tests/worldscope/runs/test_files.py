"""Facts about files that are never half-written."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldscope.runs.files import (
    append_lines,
    plain,
    read_lines,
    replacing,
    to_json,
    write_json,
    write_lines,
)

values = st.dictionaries(
    st.text(), st.text() | st.integers() | st.floats(allow_nan=False), max_size=4
)


def test_a_replaced_file_holds_the_new_content_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with replacing(file) as temporary:
            temporary.write_text(text)
    assert file.read_text() == "new"
    assert list(file.parent.iterdir()) == [file]


def test_a_failing_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    with pytest.raises(OSError, match="disk full"), replacing(file) as temporary:
        temporary.write_text("ne")
        raise OSError("disk full")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_sees_the_old_file_while_the_new_one_is_written(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    with replacing(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"


def test_a_value_without_a_form_in_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {"a": 1})
    with pytest.raises(ValueError, match="a object cannot be written as JSON: give plain values"):
        write_json(tmp_path / "config.json", {"a": object()})
    assert json.loads((tmp_path / "config.json").read_text()) == {"a": 1}


@settings(max_examples=40)
@given(st.lists(values, max_size=5), st.lists(values, max_size=5))
def test_lines_that_were_written_and_appended_are_read_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, first: list[dict], second: list[dict]
) -> None:
    file = tmp_path_factory.mktemp("lines") / "log.jsonl"
    write_lines(file, first)
    append_lines(file, second)
    assert read_lines(file) == first + second


@settings(max_examples=40)
@given(st.lists(values, min_size=1, max_size=4), st.data())
def test_a_line_that_a_crash_cut_short_is_not_read_and_then_removed(
    tmp_path_factory: pytest.TempPathFactory, lines: list[dict], data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("lines") / "log.jsonl"
    write_lines(file, lines)
    size = file.stat().st_size
    last = len(to_json(lines[-1])) + 1
    with file.open("r+b") as torn:
        torn.truncate(size - data.draw(st.integers(1, last)))
    assert read_lines(file) == lines[:-1]
    append_lines(file, [{"after": 1}])
    assert read_lines(file) == [*lines[:-1], {"after": 1}]


def test_a_torn_line_longer_than_one_block_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"whole": 1}\n' + "x" * 200_000)
    append_lines(file, [{"after": 1}])
    assert file.read_text() == '{"whole": 1}\n{"after": 1}\n'


def test_arrays_tensors_paths_and_dataclasses_become_plain_values() -> None:
    @dataclass(frozen=True)
    class Inner:
        rate: np.float32

    given_values = {
        "inner": Inner(np.float32(0.5)),
        "array": np.arange(3),
        "tensor": torch.tensor([1.5, 2.5]),
        "path": Path("a/b"),
        "tuple": (1, 2),
        "none": None,
    }
    assert plain(given_values) == {
        "inner": {"rate": 0.5},
        "array": [0, 1, 2],
        "tensor": [1.5, 2.5],
        "path": "a/b",
        "tuple": [1, 2],
        "none": None,
    }


def test_half_a_surrogate_pair_is_written_and_read_back(tmp_path: Path) -> None:
    undecodable = b"caf\xe9".decode("utf-8", "surrogateescape")
    write_lines(tmp_path / "examples.jsonl", [{"text": undecodable}])
    assert read_lines(tmp_path / "examples.jsonl") == [{"text": undecodable}]


def test_a_whole_line_that_is_not_json_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\nnoise\n{"step": 3}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl line 2 is not JSON \(.+\); remove it"):
        read_lines(path)

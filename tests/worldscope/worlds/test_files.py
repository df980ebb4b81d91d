"""Facts about worlds from files and from the hub."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from worldscope.worlds.files import load_world, read_table
from worldscope.worlds.world import World

TABLE = pd.DataFrame(
    {
        "text": ["Lovely, really.", 'A "bad" film\nin two lines', "naïve — ☃"],
        "label": [1, 0, 1],
        "film": ["x", "x", "y"],
    }
)


def write_jsonl(path: Path, table: pd.DataFrame) -> None:
    rows = table.to_dict("records")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, pd.DataFrame], None]] = {
    "csv": lambda path, table: table.to_csv(path, index=False),
    "jsonl": write_jsonl,
    "parquet": lambda path, table: table.to_parquet(path),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_reads_the_same_from_every_kind_of_file(
    tmp_path: Path, kind: str, zipped: bool
) -> None:
    path = tmp_path / f"reviews.{kind}"
    WRITERS[kind](path, TABLE)
    if zipped:
        raw, path = path.read_bytes(), tmp_path / f"reviews.{kind}.gz"
        path.write_bytes(gzip.compress(raw))
    world = load_world(path, label_column="label", group_column="film")
    assert world.inputs == TABLE["text"].tolist()
    assert world.groups == ["x", "x", "y"]
    assert world.values("label") == [1, 0, 1]
    assert [(s.name, s.kind, s.classes) for s in world.states] == [("label", "binary", ("0", "1"))]
    assert world.name == path.name


def test_a_text_file_has_one_text_a_line_and_blank_lines_are_none(tmp_path: Path) -> None:
    path = tmp_path / "reviews.txt"
    path.write_bytes("\ufeffGood.\r\n\r\nBad\u2028 but one line.\n  \nLast".encode())
    world = load_world(path)
    assert world.inputs == ["Good.", "Bad\u2028 but one line.", "Last"]
    assert world.states == ()
    assert len(set(world.groups)) == 3


@settings(max_examples=50)
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")).filter(
            str.strip
        ),
        min_size=1,
    )
)
@pytest.mark.parametrize("kind", WRITERS)
def test_any_text_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, kind: str, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("any") / f"texts.{kind}"
    WRITERS[kind](path, pd.DataFrame({"text": texts, "n": range(len(texts))}))
    assert load_world(path).inputs == texts


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan", "N/A", "1.50"])
def test_words_that_look_like_nothing_stay_text_in_a_csv(tmp_path: Path, word: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text(f"text,label\n{word},1\nfine,0\n")
    assert load_world(path, label_column="label").inputs == [word, "fine"]


def test_a_group_keeps_its_name_in_every_file_of_a_folder(tmp_path: Path) -> None:
    """Else the reviews of film 007 could lie on both sides of a split."""
    (tmp_path / "a.csv").write_text("text,film\nfirst,007\n")
    (tmp_path / "b.csv").write_text("text,film\nsecond,007\nthird,Dr. No\n")
    assert load_world(tmp_path, group_column="film").groups == ["007", "007", "Dr. No"]


def test_a_label_means_the_same_throughout_a_long_csv(tmp_path: Path) -> None:
    """Pandas would take a long table in pieces, each with types of its own."""
    labels = ["1", "0"] * 150_000 + ["unsure"]
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"a film,{label}\n" for label in labels))
    world = load_world(path, label_column="label")
    assert world.states[0].classes == ("0", "1", "unsure")
    assert world.values("label")[-3:] == [1, 0, 2]


def test_a_folder_is_all_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", pd.DataFrame({"text": ["third"]}))
    (tmp_path / "a.txt").write_text("first\nsecond\n")
    (tmp_path / "notes.md").write_text("not a review")
    world = load_world(tmp_path)
    assert world.inputs == ["first", "second", "third"]
    assert len(set(world.groups)) == 3


def test_a_file_of_a_folder_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\ngood,1\n")
    (tmp_path / "b.csv").write_text("body,label\nbad,0\n")
    with pytest.raises(LookupError, match=r"b\.csv has no column 'text'; its columns are body, "):
        load_world(tmp_path, label_column="label")


SPANS = [[{"start": 0, "end": 2}, {"start": 1, "end": 4}], [], None]


@pytest.mark.parametrize(
    "values", [[[0, 3], None, []], SPANS, [[True, False], [False], None], [3, None, 0]]
)
@pytest.mark.parametrize("kind", WRITERS)
def test_columns_to_keep_come_as_they_are(tmp_path: Path, kind: str, values: list) -> None:
    cells = [
        json.dumps(value) if kind == "csv" and value is not None else value for value in values
    ]
    path = tmp_path / f"a.{kind}"
    table = pd.DataFrame({"text": ["a", "b", "c"], "where": pd.Series(cells, dtype=object)})
    WRITERS[kind](path, table)
    assert load_world(path, keep=["where"]).values("where") == values
    with pytest.raises(LookupError, match="has no column 'where'"):
        load_world(path).values("where")


def test_only_whole_numbers_and_lists_of_a_csv_are_read_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,code\na,007\nb,1.50\nc,3 of 4\nd,true\n")
    assert load_world(path, keep=["code"]).values("code") == ["007", "1.50", "3 of 4", "true"]


@pytest.mark.parametrize(
    ("cells", "keep", "said"),
    [
        (
            ("\"[{'start': 0}]\"", ""),
            "code",
            "a.csv row 0 of column 'code' is .*, which is not JSON",
        ),
        (("3", "three"), "code", "column 'code' mixes kinds of values: "),
        (("3", "4"), "text", "column 'text' cannot be kept: the world has one of that name"),
    ],
)
def test_a_column_that_cannot_be_kept_is_refused(
    tmp_path: Path, cells: tuple[str, str], keep: str, said: str
) -> None:
    path = write(tmp_path / "a.csv", f"text,code\na,{cells[0]}\nb,{cells[1]}\n")
    with pytest.raises(ValueError, match=said):
        load_world(path, keep=[keep])


def test_one_value_beside_lists_is_a_list_of_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,code\na,3\nb,"[0, 1]"\nc,\n')
    assert load_world(path, keep=["code"]).values("code") == [[3], [0, 1], None]


@pytest.mark.parametrize(
    ("cells", "labels", "classes"),
    [
        (["01", "1", "10"], [0, 1, 2], ("01", "1", "10")),
        (["10", "9", ""], [1, 0, None], ("9", "10")),
        (["true", "True", "FALSE"], [2, 1, 0], ("FALSE", "True", "true")),
        (["9007199254740993", "", "9007199254740992"], [1, None, 0],
         ("9007199254740992", "9007199254740993")),
        (["1.5", "-2", "10"], [1, 0, 2], ("-2.0", "1.5", "10.0")),
        (["1.50", "1.5", "2"], [1, 0, 2], ("1.5", "1.50", "2")),
        (["9" * 400, "1.5", "2"], [2, 0, 1], ("1.5", "2", "9" * 400)),
    ],
)  # fmt: skip
def test_cells_that_differ_are_classes_that_differ(
    tmp_path: Path, cells: list[str], labels: list[int | None], classes: tuple[str, ...]
) -> None:
    path = write(tmp_path / "a.csv", "text,label\n" + "".join(f"a,{cell}\n" for cell in cells))
    world = load_world(path, label_column="label")
    assert world.values("label") == labels
    assert world.states[0].classes == classes


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label,"label"\na,1,2\nb,2,1\n')
    with pytest.raises(ValueError, match=r"a.csv has 2 columns 'label'; rename all but one"):
        load_world(path, label_column="label")


def test_a_row_without_a_group_column_is_called_by_its_number_in_any_draw(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\n".join(f"text {row}" for row in range(50)))
    world = load_world(path)
    drawn = world.dataset.shuffle(seed=3).select(range(20))
    few = World(world.name, drawn, world.input_column, world.group_column)
    assert few.groups != sorted(few.groups, key=int)
    assert few.inputs == [f"text {group}" for group in few.groups]


def test_a_folder_without_files_of_ours_says_which_it_wants(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("not a review")
    with pytest.raises(FileNotFoundError, match=r"holds no \.jsonl, \.csv, \.parquet, \.txt file"):
        load_world(tmp_path)


@pytest.mark.parametrize("column", ["text_column", "label_column", "group_column"])
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path, column: str) -> None:
    TABLE.to_csv(tmp_path / "reviews.csv", index=False)
    with pytest.raises(LookupError, match="no column 'mood'; its columns are text, label, film"):
        load_world(tmp_path / "reviews.csv", **{column: "mood"})


@pytest.mark.parametrize("name", ["reviews.csv", "reviews.txt.gz", "./reviews", "/no/reviews"])
def test_a_file_that_is_not_there_is_not_sought_on_the_hub(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load_dataset", None)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_world(name)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


DAMAGED_PARQUET = b"PAR1" + b"\xff" * 40 + (40).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", "", "holds no rows"),
        ("a.jsonl", "\n\n", "holds no rows"),
        ("a.csv", "text,label\n", "holds no rows"),
        ("a.csv", "", "cannot be read as csv: No columns to parse"),
        ("a.txt", b"caf\xe9\n", r"is not UTF-8: byte 3 is 0xe9; save it as UTF-8"),
        ("a.csv", "text\nü".encode("utf-16"), "is not UTF-8: byte 0 is 0xff"),
        ("a.jsonl", '{"text": "a"}\n\n{"text": \n', "line 3 is not JSON: Expecting value"),
        ("a.jsonl", '["text", "a"]\n', "line 1 is not a JSON object"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "holds half of a surrogate pair"),
        ("a.csv", "text,label\na,1\nb,0,3\n", "csv: .*Expected 2 fields in line 3, saw 3"),
        ("a.csv", "text,label\nso, so,1\nno, no,0\n", "line 2 has more cells than the header"),
        ("a.csv", 'text,label\n"a,1\nb,0\n', "csv: .*EOF inside string"),
        ("a.parquet", b"PAR1 but not really", "cannot be read as parquet"),
        ("a.parquet", DAMAGED_PARQUET, "cannot be read as parquet: .*deserialize"),
        ("a.txt.gz", b"plain", "is not a whole gzip file"),
        ("a.txt.gz", gzip.compress(b"abc" * 99, mtime=0)[:-9], "is not a whole gzip file"),
        ("a.tsv", "text\tlabel\n", r"is not one of \.jsonl, \.csv, \.parquet, \.txt"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_in_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, sentence: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=sentence) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"text": "a"}\n{"text": null}', "row 1 of column 'text' is empty; the first row is 0"),
        ('{"text": "a"}\n{"n": 1}', "row 1 of column 'text' is empty"),
        ('{"text": "a"}\n{"text": " "}', "row 1 of column 'text' is ' ', not text"),
        ('{"text": 7}', "row 0 of column 'text' is 7, not text"),
        ('{"text": ["a", "b"]}', r"row 0 of column 'text' is \['a', 'b'\], not text"),
    ],
)
def test_a_row_without_text_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_world(write(tmp_path / "a.jsonl", content))


def test_a_row_without_a_group_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,film\na,x\nb,\n")
    with pytest.raises(ValueError, match="row 1 has no group in column 'film'"):
        load_world(path, group_column="film")


@pytest.mark.parametrize(
    ("labels", "values", "classes"),
    [
        (["pos", "neg", "pos"], [1, 0, 1], ("neg", "pos")),
        ([1, None, 0], [1, None, 0], ("0", "1")),
        ([5, 3, 10], [1, 0, 2], ("3", "5", "10")),
        ([True, False, None], [1, 0, None], ("False", "True")),
        (["b", None, "a"], [1, None, 0], ("a", "b")),
        ([0.5, 1.5, None], [0, 1, None], ("0.5", "1.5")),
    ],
)
@pytest.mark.parametrize("kind", WRITERS)
def test_labels_become_classes_in_sorted_order_and_nulls_stay(
    tmp_path: Path, kind: str, labels: list, values: list, classes: tuple[str, ...]
) -> None:
    path = tmp_path / f"a.{kind}"
    table = pd.DataFrame({"text": ["a", "b", "c"], "mood": pd.Series(labels, dtype=object)})
    WRITERS[kind](path, table)
    world = load_world(path, label_column="mood")
    assert world.values("label") == values
    (state,) = world.states
    assert state.classes == classes
    assert state.kind == ("binary" if len(classes) == 2 else "categorical")


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([1, "pos"], "column 'label' holds neither text throughout nor numbers"),
        ([[1], [0]], "column 'label' holds neither text throughout nor numbers"),
        ([1, 1], "column 'label' holds only '1'; a label needs at least 2 classes"),
        ([None, None], "column 'label' holds nothing; a label needs at least 2 classes"),
    ],
)
def test_a_column_that_is_no_label_is_refused(tmp_path: Path, labels: list, sentence: str) -> None:
    rows = [{"text": "a", "label": label} for label in labels]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=sentence):
        load_world(path, label_column="label")


def hub_set(name: str, *, split: str) -> Dataset:
    """What `datasets.load_dataset` gives for a small set with a split of unknown classes."""
    if name != "someone/reviews":
        raise ConnectionError(f"Couldn't reach {name!r} on the Hub")
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    labels = {"train": [1, 0, -1], "unsupervised": [-1, -1, -1]}[split]
    return Dataset.from_dict({"text": ["a", "b", "c"], "label": labels}, features=features)


def test_a_name_on_the_hub_gives_a_world_and_unknown_classes_are_null(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(datasets, "load_dataset", hub_set)
    world = load_world("someone/reviews", label_column="label")
    assert (world.name, world.inputs) == ("reviews", ["a", "b", "c"])
    assert world.values("label") == [1, 0, None]
    assert load_world("someone/reviews", split="unsupervised").inputs == ["a", "b", "c"]


def test_a_name_that_neither_is_a_file_nor_on_the_hub_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: Any, **__: Any) -> Dataset:
        raise ConnectionError("Couldn't reach 'reviews.tsv' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(
        FileNotFoundError, match=r"'reviews\.tsv' is neither a file here nor .* Couldn't reach"
    ):
        load_world("reviews.tsv")

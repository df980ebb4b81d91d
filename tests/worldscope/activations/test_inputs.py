"""What the data may be, what is said of what it may not, and how it is told apart."""

import datetime
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset

from worldscope.activations import inputs as module
from worldscope.activations.inputs import Inputs, as_inputs
from worldscope.activations.reader import Cursor, Reader
from worldscope.activations.settings import ReadSettings
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.world import State, World


def world_of(**columns: list) -> World:
    n = len(next(iter(columns.values())))
    rows = {"text": ["a"] * n, "film": ["f"] * n, **columns}
    known = tuple(State(name, "vector") for name in columns if name not in ("text", "film"))
    return World("w", Dataset.from_dict(rows), "text", "film", known)


def test_the_digest_tells_inputs_groups_and_labels_apart(world: World) -> None:
    digest = as_inputs(world).digests().data
    assert digest == as_inputs(world).digests().data
    for column, value in (("text", "z"), ("film", "z"), ("mood", 0), ("place", [0.0, 9.0])):
        rows = world.dataset.map(
            lambda row, i, c=column, v=value: {c: v} if i == 7 else {}, with_indices=True
        )
        other = World(world.name, rows, world.input_column, world.group_column, world.states)
        assert as_inputs(other).digests().data != digest, column


def test_the_digest_of_inputs_is_of_them_alone(world: World) -> None:
    texts = world.inputs
    alone = as_inputs(texts).digests().inputs
    assert as_inputs(world).digests().inputs == alone
    assert as_inputs([*texts[:-1], "other"]).digests().inputs != alone
    assert as_inputs(texts[:-1]).digests().inputs != alone


class Counted(list):
    """Says how often each of its rows was read."""

    def __init__(self, rows: list):
        super().__init__(rows)
        self.reads = [0] * len(rows)

    def __getitem__(self, at):
        for row in range(len(self))[at]:
            self.reads[row] += 1
        return super().__getitem__(at)


def test_both_digests_are_of_one_reading() -> None:
    data = Counted(["ab", "c"] * 1500)
    as_inputs(data).digests()
    assert data.reads == [1] * 3000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([0.0] * 5000, [0.0] * 2500 + [1.0] + [0.0] * 2499),
        ([0.1], [0.1 + 2**-56]),
        ([0.0], [float("nan")]),
        ([None], [0.0]),
        ([None], [float("nan")]),
        ([], None),
        (["None"], [None]),
        ([datetime.date(2020, 1, 1)], [datetime.date(2020, 1, 2)]),
    ],
)
def test_any_difference_of_a_label_is_another_digest(one: object, other: object) -> None:
    digests = [as_inputs(world_of(place=[value])).digests().data for value in (one, other)]
    assert digests[0] != digests[1]


def test_a_digest_is_of_the_values_whatever_format_is_set_and_however_they_are_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = as_inputs(world).digests().data
    for form in ("numpy", "torch"):
        rows = world.dataset.with_format(form, columns=["place", "mood", "vowel"])
        formatted = World(
            world.name,
            rows.with_format(form),
            world.input_column,
            world.group_column,
            world.states,
        )
        assert as_inputs(formatted).digests().data == digest, form
    windows = Inputs.windows
    monkeypatch.setattr(module.Inputs, "windows", lambda self, size: windows(self, 7))
    assert as_inputs(world).digests().data == digest


def test_joined_texts_and_shaped_arrays_have_digests_of_their_own() -> None:
    def digest(data: list) -> str:
        return as_inputs(data).digests().data

    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest([np.zeros((2, 3))]) != digest([np.zeros((3, 2))])
    assert digest([np.zeros(4, np.float32)]) != digest([np.zeros(2, np.float64)])


@pytest.mark.parametrize(
    "value", [None, 7, 0.5, np.int64(3), {"text": "a"}, b"a", torch.tensor(3), np.array(1.0)]
)
def test_an_input_that_is_neither_text_nor_array_is_named(value: object) -> None:
    with pytest.raises(ValueError, match=r"row 1 of the data is .*; each input must be a text or"):
        as_inputs(["fine", value]).window(0, 2)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (["a", "b"], "the input is .* reads texts, or symbols as whole numbers"),
        ([0.5], "the input is .* reads texts, or symbols as whole numbers"),
        (np.array([[97]]), "the input is .* reads texts, or symbols as whole numbers"),
        ([97, 256], "symbols run from 97 to 256; this network's are 0 to 255"),
        ([-1], "symbols run from -1 to -1; this network's are 0 to 255"),
    ],
)
def test_a_network_of_symbols_says_what_it_reads(network: MLSTM, value: object, said: str) -> None:
    reader = Reader(network, as_inputs(["fine", value]), "hook_c", ReadSettings())
    with pytest.raises(ValueError, match=f"row 1 of the data: {said}"):
        next(reader.works(Cursor()))


def test_objects_are_no_numbers() -> None:
    with pytest.raises(ValueError, match=r"row 0 of the data: the input .* is no array of numbers"):
        as_inputs([np.array([{}, None])]).digests()


@pytest.mark.parametrize(
    ("state", "values", "said"),
    [
        (State("mood", "binary"), ["good", "bad"], r"\['good'\], which is not binary; give 0 and"),
        (State("mood", "categorical"), [0.0, 0.5], r" \[0.5\], .* give whole numbers, and"),
        (State("mood", "binary"), [0, 7], r"\[7\], which is not binary; give 0 and 1"),
        (State("mood", "vector"), [[1.0, 2.0], [1.0, None]], r" \[\[1.0, None\]\], which is not"),
        (State("mood", "scalar"), ["1.5", None], r"\['1.5'\], which is not scalar; give numbers"),
        (State("mood", "vector"), [1.0, 2.0], r"\[1.0\], which is not vector; give lists of"),
        (State("mood", "binary", "position"), [["x"] * 4, None], r"\['x', 'x', 'x', 'x'\], which"),
    ],
)
def test_labels_of_another_kind_are_refused(
    network: MLSTM, state: State, values: list, said: str
) -> None:
    rows = Dataset.from_dict({"text": ["a", "a"], "mood": values})
    inputs = as_inputs(World("w", rows, "text", "text", (state,)))
    with pytest.raises(ValueError, match=rf"row \d of the data: the state 'mood' holds.*{said}"):
        next(Reader(network, inputs, "hook_c", ReadSettings()).works(Cursor()))


def test_true_and_false_are_one_and_zero(network: MLSTM) -> None:
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "mood": [True, None, False]})
    inputs = as_inputs(World("w", rows, "text", "text", (State("mood", "binary"),)))
    reader = Reader(network, inputs, "hook_c", ReadSettings(positions="last"))
    table = next(reader.works(Cursor())).table().to_pydict()
    assert dict(zip(table["group"], table["mood"], strict=True)) == {"a": 1, "b": None, "c": 0}


@pytest.mark.parametrize("name", ["group", "symbol", "text_end", "row", "lstm.0.hook_c"])
def test_a_state_has_no_name_of_another_column(network: MLSTM, name: str) -> None:
    rows = Dataset.from_dict({"text": ["a"], "film": ["x"], name: [1]})
    inputs = as_inputs(World("w", rows, "text", "film", (State(name, "binary"),)))
    with pytest.raises(ValueError, match=f"a state is called '{name}', as is .*rename its column"):
        Reader(network, inputs, "hook_c", ReadSettings())


SCRIPT = """
import datasets, json, pandas, torch
import worldscope as ws
from worldscope.activations.inputs import as_inputs
from worldscope.activations.reader import Reader
from worldscope.activations.settings import ReadSettings
from worldscope.networks.loading import new_mlstm

net, rows = new_mlstm(d_hidden=5, d_embed=4), {"text": ["a", "b"]}
said = {}
for name, make in {
    "Dataset": lambda: as_inputs(datasets.Dataset.from_dict(rows)),
    "DataFrame": lambda: as_inputs(pandas.DataFrame(rows)),
    "dict": lambda: as_inputs(rows),
    "generator": lambda: as_inputs(text for text in rows["text"]),
    "None": lambda: as_inputs(None),
    "positions": lambda: ReadSettings(positions=[0, 1]),
    "no positions": lambda: ReadSettings(positions=None),
    "network": lambda: Reader("gpt2", as_inputs(["a"]), "hook_c", ReadSettings()),
    "module": lambda: Reader(torch.nn.Identity(), as_inputs(["a"]), "x", ReadSettings()),
    "hooks": lambda: Reader(net, as_inputs(["a"]), None, ReadSettings()),
}.items():
    try:
        make()
    except ValueError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def test_what_is_given_in_place_of_something_else_is_said_in_one_sentence() -> None:
    """In a process of its own, where nothing checks the annotations first."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    )
    said = json.loads(done.stdout)
    world = r"which does not say what its columns are; give ws.World(name, dataset, input_column, "
    for kind in ("Dataset", "DataFrame", "dict"):
        assert said[kind].startswith(f"the data is a {kind}, {world}"), said[kind]
    assert said["generator"].startswith("the data is <generator object")
    assert said["None"] == (
        "the data is None; give a world, or a list of texts or of arrays (time, …)"
    )
    assert said["positions"].startswith("positions is [0, 1]; it must be all, last, mean, every:K")
    assert said["no positions"].startswith("positions is None; it must be all")
    assert said["network"] == ("'gpt2' is no network; give what ws.load_network or ws.wrap returns")
    assert said["module"] == (
        "Identity() is no network; give what ws.load_network or ws.wrap returns"
    )
    assert said["hooks"] == "no hook is named; give the names of those to record"

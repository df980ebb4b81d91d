"""Facts about a world: it knows which column is what, and its parts stay worlds."""

import pytest
from datasets import Dataset

from worldscope.worlds.world import State, World


@pytest.fixture
def world() -> World:
    columns = {"text": ["a", "b", "c"], "film": ["x", "x", "y"], "label": [1, None, 0]}
    return World("toy", Dataset.from_dict(columns), "text", "film", (State("label", "binary"),))


def test_the_columns_of_a_world_have_one_value_for_each_row(world: World) -> None:
    assert len(world) == 3
    assert (world.inputs, world.groups) == (["a", "b", "c"], ["x", "x", "y"])
    assert world.values("label") == [1, None, 0]


@pytest.mark.parametrize(("input_column", "group"), [("txt", "film"), ("text", "movie")])
def test_a_column_that_the_data_lack_is_named_with_those_they_have(
    world: World, input_column: str, group: str
) -> None:
    with pytest.raises(
        LookupError,
        match=r"world 'toy' has no column '(txt|movie)'; its columns are text, film, label",
    ):
        World("toy", world.dataset, input_column, group)


def test_a_state_without_its_column_is_refused(world: World) -> None:
    with pytest.raises(LookupError, match="has no column 'mood'"):
        World("toy", world.dataset, "text", "film", (State("mood", "binary"),))


@pytest.mark.parametrize("question", ["values", "labelled"])
def test_asking_for_a_column_that_is_not_there_names_those_that_are(
    world: World, question: str
) -> None:
    with pytest.raises(LookupError, match="no column 'lable'; its columns are text, film, label"):
        getattr(world, question)("lable")


def test_selected_rows_keep_their_order_and_columns(world: World) -> None:
    kept = world.select(lambda row: row["film"] == "x" or row["label"] == 0, name="part")
    assert (kept.name, kept.inputs, kept.groups) == ("part", ["a", "b", "c"], ["x", "x", "y"])
    assert world.select(lambda row: row["film"] == "y").inputs == ["c"]
    assert world.select(lambda row: row["film"] == "y").name == "toy"


def test_nothing_selected_is_an_empty_world(world: World) -> None:
    nothing = world.select(lambda row: False)
    assert (len(nothing), nothing.inputs, nothing.values("label")) == (0, [], [])


def test_selecting_from_a_selection_counts_its_own_rows(world: World) -> None:
    assert world.select(lambda row: row["text"] != "a").labelled("label").inputs == ["c"]


def test_labelled_leaves_out_what_is_not_known_and_keeps_zero(world: World) -> None:
    assert world.labelled("label").values("label") == [1, 0]


def test_many_rows_are_selected_across_batches() -> None:
    rows = 2345
    columns = {"text": [str(row) for row in range(rows)], "group": ["g"] * rows}
    world = World("many", Dataset.from_dict(columns), "text", "group")
    kept = world.select(lambda row: int(row["text"]) % 500 == 0)
    assert kept.inputs == ["0", "500", "1000", "1500", "2000"]

"""Every notebook runs from top to bottom on what is shipped."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
NOTEBOOKS = sorted(EXPERIMENTS.glob("*/notebook.ipynb"))


def named(path: Path) -> str:
    return path.parent.name


@pytest.fixture(scope="module")
def executed() -> Callable[[str], list[nbformat.NotebookNode]]:
    """The code cells of a study's notebook after a run."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

    @cache
    def run(study: str) -> list[nbformat.NotebookNode]:
        path = EXPERIMENTS / study / "notebook.ipynb"
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, timeout=300, kernel_name="python3")
        cells = client.execute(cwd=str(path.parent)).cells
        return [cell for cell in cells if cell.cell_type == "code"]

    return run


def printed(cells: list[nbformat.NotebookNode]) -> str:
    outputs = [output for cell in cells for output in cell.outputs]
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_every_cell_of_a_notebook_runs(path: Path, executed: Callable) -> None:
    code = executed(named(path))
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]


def test_the_notebook_shows_steered_text_for_each_strength(executed: Callable) -> None:
    for strength in ("-3", "+0", "+3"):
        said = f"clamped at {strength} sd\nI thought the film"
        assert said in printed(executed("sentiment_neuron"))


def test_the_notebook_shows_every_block_and_refuses_other_data(executed: Callable) -> None:
    said = printed(executed("activations"))
    for layer in range(4):
        assert f"blocks.{layer}.hook_out: 0." in said
    assert "was read from something else: its digest of the inputs is" in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in stored.cells)

"""What `import worldscope as ws` promises: its names, its speed, and its answer to strangers."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

EXPORTS = [
    "Ablate",
    "Add",
    "Clamp",
    "Feature",
    "ReadSettings",
    "State",
    "StoreDataset",
    "World",
    "capture",
    "collect",
    "direction_feature",
    "fit_l1_path",
    "ksparse_curve",
    "label_curve",
    "list_runs",
    "load_feature",
    "load_network",
    "load_reviews",
    "load_run",
    "load_store",
    "load_world",
    "max_null",
    "mean_interval",
    "measure_statistics",
    "measure_steering",
    "rank_units",
    "read_states",
    "read_text",
    "save_network",
    "split_groups",
    "steer",
    "stream_activations",
    "stream_states",
    "unit_feature",
    "wrap",
]
HEAVY = ["torch", "transformer_lens", "transformers", "sklearn", "plotly", "streamlit", "datasets"]


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter running `code` in `folder`."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_front_door_offers_exactly_the_promised_names() -> None:
    import worldscope as ws

    assert dir(ws) == sorted([*EXPORTS, "__version__"])


@pytest.mark.parametrize("name", EXPORTS)
def test_every_promised_name_is_documented_where_it_is_defined(name: str) -> None:
    import worldscope as ws

    value = getattr(ws, name)
    home = inspect.getmodule(value)
    assert home is not None
    assert getattr(importlib.import_module(home.__name__), name) is value
    documentation = inspect.getdoc(value) or ""
    assert documentation
    assert not documentation.startswith(f"{name}("), "a dataclass was given only its signature"


def test_type_checkers_see_the_names_that_are_loaded_when_used(repository: Path) -> None:
    """The block under TYPE_CHECKING and the table of homes say the same."""
    import worldscope as ws

    tree = ast.parse((repository / "worldscope" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert isinstance(block.test, ast.Name)
    assert block.test.id == "TYPE_CHECKING"
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: node.module for node in imports for alias in node.names}
    assert seen == ws._HOME_OF


def test_an_unknown_name_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    done = python("import worldscope as ws; ws.load_netwrok", tmp_path)
    assert done.stderr.splitlines()[-1] == (
        "AttributeError: module 'worldscope' has no attribute 'load_netwrok'. "
        "Did you mean: 'load_network'?"
    )


def test_importing_the_front_door_is_light_and_quick(tmp_path: Path) -> None:
    code = f"""
import sys, time
start = time.perf_counter()
import worldscope
seconds = time.perf_counter() - start
print(seconds < 0.5, [name for name in {HEAVY} if name in sys.modules])
"""
    done = python(code, tmp_path)
    assert done.stdout.strip() == "True []", done.stderr


def test_the_version_is_the_projects(repository: Path) -> None:
    import worldscope as ws

    assert f'version = "{ws.__version__}"' in (repository / "pyproject.toml").read_text()

"""The tree is the architecture: who may import whom, held as data and read from the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The rows of the table; "worldscope" means every room within it.
ROOMS = {
    "worldscope.worlds": (),
    "worldscope.networks": (),
    "worldscope.activations": ("worldscope.worlds", "worldscope.networks"),
    "worldscope.features": ("worldscope.worlds", "worldscope.networks", "worldscope.activations"),
    "worldscope.steering": (
        "worldscope.worlds",
        "worldscope.networks",
        "worldscope.activations",
        "worldscope.features",
    ),
    "probes": ("worldscope",),
    "sae": ("worldscope",),
    "evidence": ("worldscope", "probes", "sae"),
    "dashboards": ("worldscope", "probes", "sae", "evidence"),
    "experiments": ("worldscope", "probes", "sae", "evidence"),
}
# Every room may import these modules, which import only one another.
SHARED = {
    "worldscope.measures": (),
    "worldscope.runs": (),
    "worldscope.figures": ("worldscope.measures",),
    "worldscope.report": ("worldscope.measures", "worldscope.runs", "worldscope.figures"),
}
# `import worldscope` leads to every library room: only rooms that may import them all may use it.
FRONT_DOOR = "worldscope (the front door)"
USE_THE_FRONT_DOOR = {"dashboards", "experiments"}

# The front door and the command line hand on every room.
EXEMPT = {Path(f"worldscope/{name}.py") for name in ("__init__", "__main__", "cli")}
PACKAGES = ("worldscope", "probes", "sae", "evidence", "dashboards", "experiments")
VAGUE = {"utils", "util", "common", "helpers", "misc"}
# `streamlit run dashboards/app.py` and `python experiments/x/run.py` put the script's own folder
# first on sys.path, where a file named like a package hides that package.
HIDEABLE = {*PACKAGES, *sys.stdlib_module_names} | {
    "datasets", "jsonargparse", "numpy", "pandas", "plotly", "pyarrow", "safetensors", "sklearn",
    "streamlit", "tokenizers", "torch", "tqdm", "transformer_lens", "transformers",
}  # fmt: skip


def room_of(module: str) -> str | None:
    """The row that a dotted name of ours belongs to; None for a package that is not ours."""
    top, _, rest = module.partition(".")
    if top not in PACKAGES:
        return None
    inner = f"worldscope.{rest.split('.')[0]}"
    if top != "worldscope":
        return top
    return inner if inner in ROOMS or inner in SHARED else FRONT_DOOR


def may_import(room: str, target: str) -> bool:
    if target == room:
        return True
    if target == FRONT_DOOR:
        return room in USE_THE_FRONT_DOOR
    if room in SHARED:
        return target in SHARED[room]
    return target in SHARED or target in ROOMS[room] or target.split(".")[0] in ROOMS[room]


def modules_imported(tree: ast.Module, package: list[str]) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of each import in a file of `package`, those in functions included.

    `from a import b` gives `a.b`: whether b is a module or a name, its room is the same.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package[: len(package) + 1 - level] if level else []
                base = [*parents, *([module] if module else [])]
                yield from ((node.lineno, ".".join([*base, alias.name])) for alias in names)
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Constant(value=str(module)), *_],
            ) if called in {"import_module", "__import__"}:
                yield node.lineno, module


def violations(root: Path) -> list[str]:
    """Every import under `root` that the table forbids, as `file:line: sentence`."""
    files = [path.relative_to(root) for path in python_files(root)]
    return [sentence for file in files if file not in EXEMPT for sentence in in_file(root, file)]


def in_file(root: Path, file: Path) -> Iterator[str]:
    room = room_of(".".join(file.with_suffix("").parts))
    if room is None or room == FRONT_DOOR:
        yield f"{file}:1: is in no room of the table"
        return
    tree = ast.parse((root / file).read_text(encoding="utf-8"))
    for line, module in modules_imported(tree, package=list(file.parent.parts)):
        target = room_of(module)
        if target and not may_import(room, target):
            yield f"{file}:{line}: {room} must not import {target}"


def python_files(root: Path) -> list[Path]:
    return sorted(path for name in PACKAGES for path in (root / name).rglob("*.py"))


def plant(root: Path, file: str, source: str) -> None:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)


def test_every_import_is_allowed_by_the_table(repository: Path) -> None:
    seen = {path.relative_to(repository).parts[0] for path in python_files(repository)}
    assert seen >= {"worldscope", "probes", "evidence", "dashboards", "experiments"}
    assert violations(repository) == []


def test_no_module_has_a_name_that_says_nothing(repository: Path) -> None:
    named = [*python_files(repository), *(path.parent for path in python_files(repository))]
    assert [str(path) for path in named if path.stem in VAGUE] == []


def test_no_script_folder_holds_a_file_named_like_a_package(repository: Path) -> None:
    scripts = [*repository.glob("dashboards/*.py"), *repository.glob("experiments/*/*.py")]
    assert [str(path) for path in scripts if path.stem in HIDEABLE] == []


@pytest.mark.parametrize(
    ("file", "source", "edge"),
    [
        ("probes/a.py", "import sae", "probes must not import sae"),
        ("sae/a.py", "from probes.ranking import rank_units", "sae must not import probes"),
        ("sae/a.py", "import torch, evidence.cards", "sae must not import evidence"),
        ("evidence/a.py", "from dashboards import charts", "evidence must not import dashboards"),
        (
            "experiments/x/a.py",
            "import dashboards.charts",
            "experiments must not import dashboards",
        ),
        (
            "worldscope/worlds/a.py",
            "from worldscope import networks",
            "worldscope.worlds must not import worldscope.networks",
        ),
        (
            "worldscope/worlds/a.py",
            "from .. import networks",
            "worldscope.worlds must not import worldscope.networks",
        ),
        (
            "worldscope/worlds/__init__.py",
            "from ..networks.loading import load_network",
            "worldscope.worlds must not import worldscope.networks",
        ),
        (
            "worldscope/networks/zoo/a.py",
            "from ...steering.edits import Clamp",
            "worldscope.networks must not import worldscope.steering",
        ),
        (
            "worldscope/runs.py",
            "from worldscope.figures import bars",
            "worldscope.runs must not import worldscope.figures",
        ),
        (
            "worldscope/measures.py",
            "import probes",
            "worldscope.measures must not import probes",
        ),
        ("probes/a.py", "import worldscope as ws", f"probes must not import {FRONT_DOOR}"),
        (
            "evidence/a.py",
            "from worldscope import capture",
            f"evidence must not import {FRONT_DOOR}",
        ),
        (
            "probes/a.py",
            "from importlib import import_module\nimport_module('evidence.cards')",
            "probes must not import evidence",
        ),
        ("worldscope/odds.py", "", "is in no room of the table"),
    ],
)
def test_a_forbidden_edge_is_named_with_file_and_line(
    tmp_path: Path, file: str, source: str, edge: str
) -> None:
    plant(tmp_path, file, source)
    line = max(1, len(source.splitlines()))
    assert violations(tmp_path) == [f"{file}:{line}: {edge}"]


def test_an_import_inside_a_function_counts(tmp_path: Path) -> None:
    plant(tmp_path, "probes/a.py", "def f():\n    if True:\n        from sae import train\n")
    assert violations(tmp_path) == ["probes/a.py:3: probes must not import sae"]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("worldscope/__init__.py", "import dashboards, sae"),
        ("worldscope/cli.py", "def f():\n    import dashboards.app"),
        ("worldscope/worlds/a.py", "from . import reviews\nfrom .reviews import load_reviews"),
        ("worldscope/worlds/a.py", "from worldscope.measures import interval\nimport worldscopes"),
        ("worldscope/worlds/__init__.py", "from .reviews import load_reviews"),
        ("worldscope/steering/a.py", "from worldscope.features.feature import Feature"),
        ("worldscope/report.py", "from worldscope import figures, measures"),
        ("probes/a.py", "import sklearn.linear_model\nfrom worldscope.features import feature"),
        ("evidence/a.py", "import sae.train, probes.ranking\nfrom worldscope import measures"),
        ("experiments/x/a.py", "import worldscope as ws\nfrom worldscope import capture"),
        ("dashboards/views/a.py", "from dashboards.charts import bars\nimport evidence"),
        ("tests/a.py", "import dashboards"),
        ("benchmarks/a.py", "import sae, probes"),
    ],
)
def test_an_allowed_edge_passes(tmp_path: Path, file: str, source: str) -> None:
    plant(tmp_path, file, source)
    assert violations(tmp_path) == []

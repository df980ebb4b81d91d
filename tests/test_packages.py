"""The rooms as installed packages: found where they lie, and whole in the wheel."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOMS = ["worldscope", "probes", "evidence", "dashboards", "experiments"]
BEHIND_THE_FRONT_DOOR = {"probes": "rank_units", "evidence": "measure_steering"}
DECOYS = {
    "a module in the working folder": ("{room}.py", ""),
    "another library of that name": ("{room}/__init__.py", "raise RuntimeError('was run')"),
}


@pytest.fixture(scope="session")
def pyproject(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built here: no network, no environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter running `code` in `folder`, which comes first on its sys.path."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def plant_decoy(folder: Path, room: str, kind: str) -> Path:
    file, source = DECOYS[kind]
    path = folder / file.format(room=room)
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return path


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_imported_from_the_repository(
    room: str, repository: Path, tmp_path: Path
) -> None:
    done = python(f"import {room}; print({room}.__file__)", tmp_path)
    assert done.stdout.strip() == str(repository / room / "__init__.py"), done.stderr


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "worldscope"])
def test_a_decoy_in_the_working_folder_comes_first(room: str, tmp_path: Path) -> None:
    decoy = plant_decoy(tmp_path, room, "a module in the working folder")
    done = python(f"import {room}; print({room}.__file__)", tmp_path)
    assert done.stdout.strip() == str(decoy), done.stderr


@pytest.mark.parametrize("kind", DECOYS)
@pytest.mark.parametrize(("room", "name"), BEHIND_THE_FRONT_DOOR.items())
def test_the_front_door_says_in_one_sentence_what_hides_a_room(
    room: str, name: str, kind: str, repository: Path, tmp_path: Path
) -> None:
    decoy = plant_decoy(tmp_path, room, kind)
    done = python(f"import worldscope as ws; ws.{name}", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: worldscope needs its own package '{room}' in {repository / room}, "
        f"but Python finds {decoy} first on sys.path: "
        "rename it, remove it, or work in another folder."
    )


def test_the_wheel_holds_every_file_of_every_room(wheel: zipfile.ZipFile, repository: Path) -> None:
    on_disk = {
        path.relative_to(repository).as_posix()
        for room in ROOMS
        for path in (repository / room).rglob("*")
        if path.is_file() and not hidden(path.relative_to(repository))
    }
    in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert in_wheel == on_disk


def test_every_package_of_the_repository_is_in_the_wheel(
    repository: Path, pyproject: dict[str, Any]
) -> None:
    """An editable install puts the whole root on the path, which would hide one left out."""
    packages = {path.parent.name for path in repository.glob("*/__init__.py")} - {"benchmarks"}
    assert packages == set(ROOMS)
    assert packages == set(pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


def test_every_folder_of_modules_is_a_package(repository: Path) -> None:
    folders = {path.parent for room in ROOMS for path in (repository / room).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = wheel.read(name).decode().splitlines()
    assert "Name: worldscope" in said
    assert "Classifier: Private :: Do Not Upload" in said
    assert "Requires-Python: <3.14,>=3.11" in said
    scripts = wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert "worldscope = worldscope.cli:main" in scripts


def test_every_third_party_import_is_a_declared_dependency(
    repository: Path, pyproject: dict[str, Any]
) -> None:
    """What another package happens to bring along is gone when that package drops it."""
    declared = {canonicalize_name(Requirement(line).name) for line in declared_by(pyproject)}
    distributions = metadata.packages_distributions()
    undeclared = {
        f"{path.relative_to(repository)} imports {top}"
        for room in ROOMS
        for path in (repository / room).rglob("*.py")
        for top in third_party_imports(path)
        if declared.isdisjoint(canonicalize_name(name) for name in distributions.get(top, [top]))
    }
    assert undeclared == set()


def test_every_dependency_is_pinned_within_its_bounds(
    repository: Path, pyproject: dict[str, Any]
) -> None:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if re.match(r"[\w.-]+==", line))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for line in declared_by(pyproject):
        wanted = Requirement(line)
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier, line


def hidden(path: Path) -> bool:
    """Whether a tool left the file here: caches and dot-folders."""
    return any(part.startswith((".", "__pycache__")) for part in path.parts)


def declared_by(pyproject: dict[str, Any]) -> list[str]:
    """The requirements of the project and of its extras, those on itself left out."""
    extras = pyproject["project"]["optional-dependencies"].values()
    lines = [*pyproject["project"]["dependencies"], *(line for extra in extras for line in extra)]
    return [line for line in lines if Requirement(line).name != "worldscope"]


def third_party_imports(path: Path) -> set[str]:
    """The top-level names that a file imports and that neither Python nor we provide."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    froms = [
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    ]
    tops = {name.split(".")[0] for name in [*plain, *froms]}
    return tops - set(sys.stdlib_module_names) - set(ROOMS)

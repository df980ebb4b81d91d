"""What README.md and CONTRIBUTING.md tell a reader to type exists."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

OURS = ("worldscope", "probes", "sae", "evidence", "experiments")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def blocks(repository: Path) -> list[tuple[str, str]]:
    """(language, text) of each fenced block of the two files."""
    texts = [
        (repository / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")
    ]
    return [found for text in texts for found in BLOCK.findall(text)]


@pytest.fixture(scope="module")
def commands(blocks: list[tuple[str, str]]) -> list[list[str]]:
    """The words of each command line in the shell blocks."""
    shell = [text for language, text in blocks if language in {"sh", "bash", "shell", "console"}]
    return [words for text in shell for words in command_lines(text)]


@pytest.fixture(scope="module")
def examples(blocks: list[tuple[str, str]]) -> list[ast.Module]:
    """The Python blocks, parsed."""
    return [ast.parse(text) for language, text in blocks if language in {"python", "py"}]


def command_lines(text: str) -> list[list[str]]:
    """Lines joined where continued and split at `&&`; prompts, comments and `NAME=` dropped."""
    lines = text.replace("\\\n", " ").splitlines()
    simple = [command for line in lines for command in line.removeprefix("$ ").split("&&")]
    split = [shlex.split(command, comments=True) for command in simple]
    return [words for words in map(without_prefix, split) if words]


def without_prefix(words: list[str]) -> list[str]:
    """`NAME=value .venv/bin/worldscope run` is `worldscope run`."""
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return [Path(words[0]).name, *words[1:]] if words else []


@cache
def help_of(*words: str) -> str:
    """What `worldscope WORDS --help` prints; it must succeed."""
    code = "import sys; from worldscope.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"worldscope {' '.join(words)} --help: {done.stderr}"
    return done.stdout


def wrong_options(words: list[str]) -> list[str]:
    """The options in `worldscope WORDS` that its own help does not name."""
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    named = set(re.findall(r"(?<![\w-])--[\w.-]+", help_of(*words[:first])))
    return [option for option in options if option not in named]


def test_worldscope_commands_and_their_options_exist(commands: list[list[str]]) -> None:
    ours = [words[1:] for words in commands if words[0] == "worldscope"]
    assert ours
    assert {" ".join(words): wrong for words in ours if (wrong := wrong_options(words))} == {}


def test_make_targets_exist(commands: list[list[str]], repository: Path) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    asked = {
        word for words in commands if words[0] == "make" for word in words[1:] if "=" not in word
    }
    assert asked
    assert asked <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))


def test_modules_run_with_python_exist(commands: list[list[str]]) -> None:
    modules = [words[2] for words in commands if words[:2] == ["python", "-m"]]
    assert [module for module in modules if find_spec(module) is None] == []


def test_names_of_the_front_door_exist(examples: list[ast.Module]) -> None:
    import worldscope as ws

    used = {
        node.attr
        for tree in examples
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ws"
    }
    assert used
    assert used <= set(dir(ws))


def test_names_imported_from_our_rooms_exist(examples: list[ast.Module]) -> None:
    imports = [
        (node.module, alias.name)
        for tree in examples
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS
        for alias in node.names
    ]
    missing = [
        f"{module}.{name}"
        for module, name in imports
        if not hasattr(importlib.import_module(module), name)
    ]
    assert missing == []

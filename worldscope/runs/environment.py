"""Where a run was computed: what one needs to know to compute it again."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "worldscope",
    "torch",
    "transformer-lens",
    "transformers",
    "scikit-learn",
    "numpy",
    "pandas",
    "datasets",
    "plotly",
    "streamlit",
)
_ROOT = Path(__file__).resolve().parents[2]


def describe_environment() -> dict[str, Any]:
    """Python, platform, processor, threads, package versions and the commit of this code.

    A package that is not installed has the version None; `git` is None when the code does not run
    from its own working tree.
    """
    import torch

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch_threads": torch.get_num_threads(),
        "packages": {package: _version(package) for package in _PACKAGES},
        "git": git_state(_ROOT),
    }


def git_state(root: Path) -> dict[str, Any] | None:
    """The commit of the working tree whose top is `root`, and whether any file differs from it.

    None if `root` is not the top of one: an installed package may lie inside somebody else's tree.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return None
    return {
        "commit": _git(root, "rev-parse", "--verify", "HEAD"),
        "dirty": bool(_git(root, "status", "--porcelain")),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()

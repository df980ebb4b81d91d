"""What every test shares. Our packages are imported inside fixtures only.

pytest instruments them for shape checking as they are imported, which a conftest that imports
them first would prevent.
"""

import os
import random
import shutil
from collections.abc import Generator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is first imported

# Speed is for the benchmarks: on a shared machine a deadline only makes sound laws flaky.
hypothesis.settings.register_profile("worldscope", deadline=None)
hypothesis.settings.load_profile("worldscope")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """One thread for torch: sums are then the same on every machine, and workers do not compete."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test starts from the same random state, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # libraries draw from numpy's global generator
    torch.manual_seed(0)
    return 0


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository: the folder that holds pyproject.toml."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data, named by WORLDSCOPE_DATA or lying beside the repository."""
    folder = Path(os.environ.get("WORLDSCOPE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"needs real data: no folder {folder}; set WORLDSCOPE_DATA to where it lies")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of an installed Chromium, for Playwright's `executable_path`."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("needs a browser: install Chromium (Debian: apt-get install chromium)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With WORLDSCOPE_REQUIRE_BROWSER=1 a browser test that is skipped has failed."""
    report = yield
    required = os.environ.get("WORLDSCOPE_REQUIRE_BROWSER") == "1"
    if required and report.skipped and item.get_closest_marker("browser"):
        report.outcome = "failed"
        report.longrepr = f"WORLDSCOPE_REQUIRE_BROWSER=1 forbids this skip: {report.longrepr}"
    return report

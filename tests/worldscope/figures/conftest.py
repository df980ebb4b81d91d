"""What the tests of figures share."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def traces() -> Callable[..., Any]:
    """The traces of a figure, of whatever kind they are: plotly's own annotation knows none."""
    return lambda figure: figure.data

"""A small random network."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from worldscope.networks.mlstm import MLSTM


@pytest.fixture(scope="session")
def network() -> "MLSTM":
    """Five units over bytes."""
    from worldscope.networks.loading import new_mlstm

    return new_mlstm(d_hidden=5, d_embed=4).requires_grad_(False).eval()

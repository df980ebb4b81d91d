"""A network whose 'sentiment' was planted by hand, so that every effect is known beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from worldscope.features.feature import Feature
    from worldscope.features.statistics import Statistics
    from worldscope.networks.mlstm import MLSTM

PUSH = 0.6  # logits for each sd of the planted unit


@dataclass(frozen=True)
class Planted:
    """A network that writes g, b and spaces: unit 0 of hook_h is all that decides between them.

    Held α sd above its mean, the logits of g, b and space are 0.6 α, −0.6 α and 0. The other units
    of hook_h lead nowhere: no output reads them, and the recurrence through h is cut.
    """

    network: "MLSTM"
    statistics: "Statistics"
    feature: "Feature"

    def share_of_g(self, strength: float) -> float:
        """Chance that a clamped network writes g."""
        logits = np.array([PUSH * strength, -PUSH * strength, 0.0])
        return float((np.exp(logits) / np.exp(logits).sum())[0])


def letters(random: np.random.Generator, weights: Sequence[float], length: int) -> str:
    """Random g, b and spaces that begin and end visibly."""
    return "g" + "".join(random.choice(list("gb "), size=length - 2, p=weights)) + "b"


@pytest.fixture(scope="session")
def real_texts() -> list[str]:
    """Ten texts that mix both letters."""
    random = np.random.default_rng(1)
    return [letters(random, (0.4, 0.4, 0.2), int(random.integers(30, 90))) for _ in range(10)]


@pytest.fixture(scope="session")
def planted(real_texts: list[str]) -> Planted:
    """See `Planted`."""
    from worldscope.features.feature import unit_feature
    from worldscope.features.statistics import measure_statistics
    from worldscope.networks.loading import new_mlstm

    network = new_mlstm(d_hidden=6, d_embed=4, seed=3).requires_grad_(False).eval()
    network.gain_h_m.zero_()
    read = measure_statistics(network, real_texts, "hook_h")
    mean, sd = read.mean[0], read.sd[0]
    network.w_out.zero_()
    network.b_out.fill_(-40.0)
    network.b_out[ord(" ")] = 0.0
    for letter, side in (("g", 1), ("b", -1)):
        network.w_out[0, ord(letter)] = side * PUSH / sd
        network.b_out[ord(letter)] = -side * PUSH / sd * mean
    statistics = measure_statistics(network, real_texts, "hook_h")
    return Planted(network, statistics, unit_feature(network, statistics, 0, label="g"))


@pytest.fixture(scope="session")
def recurrent() -> "MLSTM":
    """A small network with random weights, where everything depends on everything before."""
    from worldscope.networks.loading import new_mlstm

    network = new_mlstm(d_hidden=8, d_embed=4, seed=5).requires_grad_(False).eval()
    network.w_out.mul_(3.0)
    return network

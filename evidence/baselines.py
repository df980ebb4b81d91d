"""What the same procedure scores without what it is meant to find.

A procedure takes states and labels and gives one number for each metric. It does everything from
choosing units or strengths on train and dev to scoring on test, so that a baseline chooses in the
same way as the network that it stands beside.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer
from tqdm.auto import tqdm

from worldscope.activations.reading import POSITIONS, read_states
from worldscope.measures import label_permutations, permutation_p_value
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM

Inputs = TypeVar("Inputs")
States = Mapping[tuple[str, str], Float[np.ndarray, "n d"]]
"""As `read_states` gives them: (hook, position) to a row for each text."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """Scores of several draws: networks with random weights, or permutations of the labels."""

    table: pd.DataFrame
    """A row for each draw: its number, or its seed, as `draw`, and a column for each metric."""

    def values(self, metric: str) -> Float[np.ndarray, " draws"]:
        """A metric of every draw.

        Raises:
            LookupError: If the procedure gave no such metric.
        """
        if metric not in self.table.columns.drop("draw"):
            given = ", ".join(self.table.columns.drop("draw"))
            raise LookupError(f"no metric is called {metric!r}; the procedure gave {given}")
        return self.table[metric].to_numpy(dtype=np.float64)

    def mean(self, metric: str) -> float:
        """Mean over the draws."""
        return float(self.values(metric).mean())

    def maximum(self, metric: str) -> float:
        """Best draw."""
        return float(self.values(metric).max())

    def p_value(self, metric: str, observed: float) -> float:
        """Chance of a draw that scores at least as high as what was observed."""
        return permutation_p_value(observed, self.values(metric))


def random_init_baseline(
    network: MLSTM,
    texts: Sequence[str],
    labels: Integer[np.ndarray, " n"],
    score: Callable[[States, Integer[np.ndarray, " n"]], Mapping[str, float]],
    *,
    hooks: Sequence[str] = ("hook_c",),
    positions: Sequence[str] = POSITIONS,
    seeds: Sequence[int] = (0, 1, 2),
    progress: bool = False,
) -> Baseline:
    """Untrained networks of the same configuration and initialiser, on the same texts.

    Args:
        network: The trained network whose configuration and codec are taken.
        texts: What it was given.
        labels: As the procedure was given.
        score: The procedure.
        hooks: Hooks that it reads.
        positions: Positions that it reads.
        seeds: One for each random network; three at the least for a claim.
        progress: Show a progress bar.
    """
    shape = {"d_hidden": network.config.d_hidden, "d_embed": network.config.d_embed}
    rows = []
    for seed in tqdm(seeds, desc="random networks", disable=not progress):
        untrained = new_mlstm(network.codec, **shape, seed=seed).to(network.device)
        untrained.requires_grad_(False).eval()
        untrained.dtype = network.dtype
        states = read_states(untrained, texts, hooks, positions)
        rows.append({"draw": seed, **score(states, labels)})
    return Baseline(pd.DataFrame(rows))


def shuffled_label_baseline(
    inputs: Inputs,
    labels: Integer[np.ndarray, " n"],
    groups: Sequence[Hashable],
    train: Integer[np.ndarray, " rows"],
    score: Callable[[Inputs, Integer[np.ndarray, " n"]], Mapping[str, float]],
    *,
    permutations: int = 20,
    seed: int = 0,
    progress: bool = False,
) -> Baseline:
    """Labels permuted over groups in the training part only; the others are the true ones.

    Args:
        inputs: Whatever the procedure reads: states, or texts.
        labels: True labels of all rows.
        groups: Group of each row.
        train: Rows of the training part.
        score: The procedure; it must itself train on those rows only.
        permutations: How many; twenty at the least for a claim.
        seed: Seed of the permutations.
        progress: Show a progress bar.
    """
    permuted = label_permutations(
        labels[train], [groups[row] for row in train], permutations=permutations, seed=seed
    )
    rows = []
    for draw in tqdm(range(permutations), desc="shuffled labels", disable=not progress):
        shuffled = labels.copy()
        shuffled[train] = permuted[:, draw]
        rows.append({"draw": draw, **score(inputs, shuffled)})
    return Baseline(pd.DataFrame(rows))

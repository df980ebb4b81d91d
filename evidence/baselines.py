"""What the same procedure scores on networks that have learned nothing.

A procedure takes states and labels and gives one number for each metric. It does everything from
choosing units or strengths on train and dev to scoring on test, so that a baseline chooses in the
same way as the network that it stands beside.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer
from tqdm.auto import tqdm

from worldscope.activations.reading import POSITIONS, read_states
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM

States = Mapping[tuple[str, str], Float[np.ndarray, "n d"]]
"""As `read_states` gives them: (hook, position) to a row for each text."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """Scores of several networks with random weights."""

    table: pd.DataFrame
    """A row for each network: its seed, as `draw`, and a column for each metric."""

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

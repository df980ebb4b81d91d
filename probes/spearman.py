"""Every unit ranked by how well its order is that of a scalar label.

Ranks are counted from their mean, tied rows sharing the mean of theirs. Spearman's correlation is
then the cosine of a unit's ranks and the label's.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Real

from probes.unit_blocks import Ranking, measure_units


@dataclass(frozen=True, eq=False)
class SpearmanRanking(Ranking):
    """How far each unit rises or falls with a scalar label."""

    correlation: Float[np.ndarray, " d"]
    """Spearman's rank correlation, from -1 to 1; 0 for a unit that does not move."""

    def order(self) -> Int[np.ndarray, " d"]:
        """Units from the strongest correlation, of either sign, to the weakest.

        Ties go to the lower unit.
        """
        return np.argsort(-np.abs(self.correlation), kind="stable")

    def best(self) -> int:
        """The unit that ranks first."""
        return int(self.order()[0])

    def table(self, k: int = 10) -> pd.DataFrame:
        """The k best units, a row each: unit, correlation."""
        units = self.order()[:k]
        return pd.DataFrame({"unit": units, "correlation": self.correlation[units]})


def rank_units_by_spearman(
    acts: Float[np.ndarray, "n d"], targets: Real[np.ndarray, " n"]
) -> SpearmanRanking:
    """Spearman's rank correlation of every unit with a scalar label.

    Args:
        acts: Activation of each unit at each row, finite.
        targets: Label of each row, finite and not all the same.

    Raises:
        ValueError: If an activation is not finite, or targets do not fit; names the row and unit.
    """
    check_scalars(targets, rows=len(acts))
    wanted = centred_ranks(targets.astype(np.float64, copy=False)[None])[0]

    def correlation(block: np.ndarray) -> tuple[np.ndarray]:
        ranks = centred_ranks(block)
        moving = ranks.any(axis=1)
        size = np.sqrt(np.square(ranks).sum(axis=1) * np.square(wanted).sum())
        products = (torch.from_numpy(ranks) @ torch.from_numpy(wanted)).numpy()
        return (np.where(moving, products / np.where(moving, size, 1), 0),)

    return SpearmanRanking(*measure_units(acts, correlation))


def centred_ranks(values: Real[np.ndarray, "units n"]) -> Float[np.ndarray, "units n"]:
    """Rank of each number in its row of the table, less the mean rank."""
    units, n = values.shape
    order = values.argsort(axis=1)
    ascending = np.take_along_axis(values, order, axis=1)
    starts_tie = np.ones((units, n), dtype=bool)
    np.not_equal(ascending[:, 1:], ascending[:, :-1], out=starts_tie[:, 1:])
    starts = np.flatnonzero(starts_tie)
    sizes = np.diff(starts, append=units * n)
    shared = np.repeat(starts % n + (sizes - n) / 2, sizes).reshape(units, n)
    ranks = np.empty((units, n))
    np.put_along_axis(ranks, order, shared, axis=1)
    return ranks


def check_scalars(targets: np.ndarray, *, rows: int) -> None:
    """Accept finite numbers, one for each row, that are not all the same.

    Raises:
        ValueError: Otherwise, naming the row that is wrong.
    """
    if targets.shape != (rows,):
        raise ValueError(
            f"There are {rows} rows and targets of shape {targets.shape}: give one target a row."
        )
    wrong = np.flatnonzero(~np.isfinite(targets))
    if len(wrong):
        raise ValueError(
            f"The target of row {wrong[0]} is {targets[wrong[0]]}: every target must be finite."
        )
    if rows == 0 or targets.min() == targets.max():
        present = f"only {targets[0]}" if rows else "nothing"
        raise ValueError(f"The {rows} targets hold {present}: two different ones are needed.")

"""Every unit ranked by how well it alone tells each of several classes from the rest."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Integer

from probes.spearman import centred_ranks
from probes.unit_blocks import Ranking, measure_units


@dataclass(frozen=True, eq=False)
class ClassRanking(Ranking):
    """How well each unit alone tells each class from all others."""

    auroc: Float[np.ndarray, "d classes"]
    """Area under the ROC curve of the raw activation, the class against the rest: under 0.5 where
    smaller means the class."""

    @property
    def distance(self) -> Float[np.ndarray, " d"]:
        """Mean over classes of |AUROC - 0.5|, each class counting the same; from 0 to 0.5."""
        return np.abs(self.auroc - 0.5).mean(axis=1)

    def order(self) -> Int[np.ndarray, " d"]:
        """Units from the largest distance to the smallest; ties go to the lower unit."""
        return np.argsort(-self.distance, kind="stable")

    def best(self) -> int:
        """The unit that ranks first."""
        return int(self.order()[0])

    def table(self, k: int = 10) -> pd.DataFrame:
        """The k best units, a row each: unit, distance, the class it tells best, its AUROC."""
        units = self.order()[:k]
        told_best = np.abs(self.auroc[units] - 0.5).argmax(axis=1)
        return pd.DataFrame(
            {
                "unit": units,
                "distance": self.distance[units],
                "class": told_best,
                "auroc": self.auroc[units, told_best],
            }
        )


def rank_units_by_class(
    acts: Float[np.ndarray, "n d"], labels: Integer[np.ndarray, " n"]
) -> ClassRanking:
    """Area under the ROC curve of every unit for every class against the rest.

    A tie counts one half.

    Args:
        acts: Activation of each unit at each row, finite.
        labels: Class of each row: 0, 1 and so on, with none left out.

    Raises:
        ValueError: If an activation is not finite, or labels do not fit; names the row and unit.
    """
    check_classes(labels, rows=len(acts))
    counts = np.bincount(labels)
    pairs = counts * (len(labels) - counts)
    members = torch.from_numpy(np.eye(len(counts))[labels])

    def auroc(block: np.ndarray) -> tuple[np.ndarray]:
        """Half, and what the ranks of a class are above their mean, over its pairs."""
        above = (torch.from_numpy(centred_ranks(block)) @ members).numpy()
        return (0.5 + above / pairs,)

    return ClassRanking(*measure_units(acts, auroc))


def check_classes(labels: np.ndarray, *, rows: int) -> None:
    """Accept classes 0, 1 and so on, one for each row, at least two and none left out.

    Raises:
        ValueError: Otherwise, naming the row or the class that is wrong.
    """
    if labels.shape != (rows,):
        raise ValueError(
            f"There are {rows} rows and labels of shape {labels.shape}: give one label a row."
        )
    negative = np.flatnonzero(labels < 0)
    if len(negative):
        row = negative[0]
        raise ValueError(f"The label of row {row} is {labels[row]}: classes are 0, 1 and so on.")
    present = np.unique(labels)
    if len(present) < 2:
        named = f"only {present[0]}" if rows else "nothing"
        raise ValueError(f"The {rows} labels hold {named}: two classes are needed at least.")
    left_out = np.flatnonzero(present != np.arange(len(present)))
    if len(left_out):
        raise ValueError(
            f"No row has class {left_out[0]} and some have class {present[-1]}: "
            "number the classes that there are 0, 1 and so on."
        )

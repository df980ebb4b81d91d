"""How few units carry the label: probes on the k best units, for growing k.

Source: Gurnee et al. 2023, "Finding Neurons in a Haystack", section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Integer

from probes.ksparse_parts import check_ks, powers_of_two
from probes.linear import LinearProbe
from probes.logistic import STRENGTHS, fit_l2_path
from probes.ranking import RankBy, rank_units


@dataclass(frozen=True, eq=False)
class SparseProbe:
    """A probe that reads k units."""

    units: Int[np.ndarray, " k"]
    """The units, best first."""
    probe: LinearProbe
    """For activations of all units, with weight 0 on the others."""

    @property
    def k(self) -> int:
        """Number of units that are read."""
        return len(self.units)


def ksparse_curve(
    train_acts: Float[np.ndarray, "n d"],
    train_labels: Integer[np.ndarray, " n"],
    dev_acts: Float[np.ndarray, "m d"],
    dev_labels: Integer[np.ndarray, " m"],
    *,
    ks: Sequence[int] | None = None,
    by: RankBy = "auroc",
    strengths: Sequence[float] | Float[np.ndarray, " s"] = STRENGTHS,
    standardise: bool = False,
) -> tuple[SparseProbe, ...]:
    """For each k, L2 logistic regression on the k units that rank best on train.

    Units are ranked one by one, so the units of a smaller k are among those of a larger, and two
    units that repeat each other are both taken.

    Args:
        train_acts: Activations to rank and fit on.
        train_labels: 0 or 1, both present.
        dev_acts: Activations to choose the strength on.
        dev_labels: 0 or 1, both present.
        ks: Numbers of units; 1, 2, 4, ... and all of them where not given.
        by: What ranks the units: distance of the AUROC from 0.5, or best-threshold accuracy.
        strengths: As `fit_l1_path`.
        standardise: As `fit_l1_path`.

    Raises:
        ValueError: As `fit_l1_path`, or if a k is not between 1 and the number of units.
    """
    ranked = rank_units(train_acts, train_labels).order(by)
    ks = powers_of_two(len(ranked)) if ks is None else ks
    check_ks(ks, len(ranked))
    curve = []
    for k in ks:
        units = ranked[:k]
        probe = fit_l2_path(
            train_acts[:, units],
            train_labels,
            dev_acts[:, units],
            dev_labels,
            strengths=strengths,
            standardise=standardise,
        )
        weight = np.zeros(len(ranked), dtype=probe.weight.dtype)
        weight[units] = probe.weight
        curve.append(SparseProbe(units, replace(probe, weight=weight)))
    return tuple(curve)


def participation_ratio(weight: Float[np.ndarray, " d"], sd: Float[np.ndarray, " d"]) -> float:
    """In how many units a probe's variance lies: (Σ w²σ²)² / Σ (w²σ²)².

    1 if a single unit has all of it, d if every unit has the same share. Correlations between
    units are left out of account.

    Args:
        weight: Weight of each unit.
        sd: Standard deviation of each unit's activation.

    Raises:
        ValueError: If no unit has both a weight and an sd.
    """
    variance = (weight.astype(np.float64) * sd) ** 2
    total = variance.sum()
    if not total > 0:
        raise ValueError("No unit has a weight and moves: the probe's variance lies nowhere.")
    share = variance / total
    return float(1 / (share**2).sum())

"""Ridge regression of many targets at many strengths from one eigendecomposition.

A fit minimises, as scikit-learn's Ridge after a StandardScaler,

    Σ_rows (y - x w - b)²  +  α Σ w²            over standardised units, the bias b free

which over the rows is the mean squared error plus λ Σ w² with λ = α / rows; in the manner of
LogisticRegression, C Σ ½ (y - x w - b)² + ½ Σ w², it is C = 1 / α. With α = 0 it is linear
regression, the shortest w where several are as good.

Scalars and vectors are targets as they are, an angle by its sine and cosine (`circular_targets`),
a label by -1 and 1 for each class, as in scikit-learn's RidgeClassifier (`Moments.signed`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from probes.moments import Acts, Moments, Targets, measure_moments
from probes.spectrum import Spectrum

_WELL_CONDITIONED = 1000.0
"""Up to here the rounding of float32 products moves weights by 1e-5 of their length or so."""
_SAMPLE = 4096
_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, eq=False)
class RidgeFits:
    """A fit for each strength and target: acts @ weight + bias."""

    weight: Float64[Tensor, "strengths d q"]
    """For activations as they are recorded."""
    bias: Float64[Tensor, "strengths q"]
    """Prediction where every activation is 0."""
    strengths: tuple[float, ...]
    """Values of α, in the order given."""
    residual: Float64[Tensor, "strengths q"]
    """Length of the objective's gradient over that at no weights: 0 at the optimum. A target that
    no unit goes with has 0."""
    condition: float
    """Largest over smallest curvature of the objective, at the weakest strength; infinite where
    units depend on each other and nothing is penalised."""
    double: bool
    """Whether the products behind the fits were taken in float64."""


def solve_ridge(
    moments: Moments, strengths: Sequence[float], *, standardise: bool = True
) -> RidgeFits:
    """A ridge regression of every target at every strength.

    Args:
        moments: Of the training rows.
        strengths: Values of scikit-learn's alpha, at least 0.
        standardise: Penalise the weights of units of standard deviation 1; otherwise of units as
            they are recorded. A unit that does not move has weight 0 either way.

    Raises:
        ValueError: If there is no strength, or one is below 0 or not finite.
    """
    _check_strengths(strengths)
    shifts = torch.tensor(strengths, dtype=torch.float64)
    inverse = _inverse_scale(moments, standardise)
    spectrum = Spectrum.of(inverse[:, None] * moments.gram * inverse)
    right = inverse[:, None] * moments.cross
    solution = spectrum.solve(right, shifts)
    left = spectrum.residual(solution, right, shifts, torch.ones_like(shifts))
    weight = inverse[:, None] * solution
    return RidgeFits(
        weight,
        moments.target_mean - moments.mean @ weight,
        tuple(strengths),
        left.norm(dim=1) / right.norm(dim=0).clamp_min(_TINY),
        _condition(spectrum.values, min(strengths)),
        moments.double,
    )


def fit_ridge(
    acts: Acts, targets: Targets, strengths: Sequence[float], *, standardise: bool = True
) -> RidgeFits:
    """`solve_ridge` on rows, in float64 if the condition number shows that float32 is not enough.

    Args:
        acts: Activations.
        targets: What to predict, a column each, all present.
        strengths: As `solve_ridge`.
        standardise: As `solve_ridge`.

    Raises:
        ValueError: As `solve_ridge` and `measure_moments`.
    """
    _check_strengths(strengths)
    double = _sampled_condition(acts, min(strengths), standardise) > _WELL_CONDITIONED
    while True:
        moments = measure_moments(acts, targets, double=double)
        fits = solve_ridge(moments, strengths, standardise=standardise)
        if fits.double or fits.condition <= _WELL_CONDITIONED:
            return fits
        double = True


def circular_targets(
    angles: Float[Tensor, " n"] | Float[np.ndarray, " n"],
) -> Float64[Tensor, "n 2"]:
    """Sine and cosine of angles in radians; `atan2` of the two predictions is the angle again."""
    angles = torch.as_tensor(angles).double()
    return torch.stack([angles.sin(), angles.cos()], dim=1)


def _check_strengths(strengths: Sequence[float]) -> None:
    if not len(strengths):
        raise ValueError("There is no strength: give at least one value of alpha.")
    for strength in strengths:
        if not 0 <= strength < np.inf:
            raise ValueError(f"The strength {strength} is not a finite number of at least 0.")


def _inverse_scale(moments: Moments, standardise: bool) -> Float64[Tensor, " d"]:
    """What units are multiplied by before they are penalised; 0 for one that does not move."""
    scale = moments.scale
    inverse = 1 / scale if standardise else torch.ones_like(scale)
    return torch.where(scale > 0, inverse, 0)


def _sampled_condition(acts: Acts, strength: float, standardise: bool) -> float:
    """The condition as some of the rows, all along them, show it."""
    step = max(1, len(acts) // max(_SAMPLE, 4 * acts.shape[1]))
    some = acts[::step]
    moments = measure_moments(some, np.zeros((len(some), 0)))
    inverse = _inverse_scale(moments, standardise)
    values = torch.linalg.eigvalsh(inverse[:, None] * moments.gram * inverse)
    return _condition(values.clamp_min(0), strength * len(some) / len(acts))


def _condition(values: Float64[Tensor, " d"], shift: float) -> float:
    smallest = float(values[0]) + shift
    return (float(values[-1]) + shift) / smallest if smallest > 0 else float("inf")

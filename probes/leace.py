"""Least-squares concept erasure (LEACE): the least change after which no linear probe finds it.

With Σ the covariance of activations x and A their cross-covariance with the concept's targets,

    x  ↦  x - P (x - mean)            P = A (A' Σ⁺ A)⁺ A' Σ⁺

leaves a cross-covariance of A - P A = 0, so that no linear predictor of the targets does better
than a constant; of all affine maps that do so it moves the activations least, in mean square and
in any quadratic norm. With W = Σ^(-1/2) this is the paper's P = W⁺ (orthogonal projection onto the
columns of W A) W, without a square root. Outside the directions in which the activations move, P
means nothing.

Source: Belrose et al. 2023, "LEACE: Perfect linear concept erasure in closed form", theorems 4.2
and 4.3.
"""

import torch

from probes.moments import Moments
from probes.spectrum import Spectrum
from worldscope.features.eraser import Eraser

_UNCORRELATED = 1e-10  # a squared correlation that is taken for rounding


def fit_leace(moments: Moments, *, network: str, hook: str, state: str) -> Eraser:
    """The eraser of everything that predicts some targets linearly.

    Args:
        moments: Of activations and the concept's targets, with `double` for an exact eraser: its
            numbers, or its classes by `class_targets`. Columns may depend on each other.
        network: Digest of the network that the activations are of.
        hook: Canonical name of their hook.
        state: What the targets say.

    Raises:
        ValueError: If a target is the same in every row.
    """
    spread = moments.target_squares.sqrt()
    _check_targets(moments)
    scale = moments.scale * moments.rows**0.5
    inverse = torch.where(scale > 0, 1 / scale, 0)
    cross = moments.cross / spread
    whitened = inverse[:, None] * cross
    solved = Spectrum.of(inverse[:, None] * moments.gram * inverse).solve(
        whitened, torch.zeros(1).double()
    )[0]
    explained, axes = torch.linalg.eigh(whitened.T @ solved)
    kept = explained > _UNCORRELATED
    axes = axes[:, kept] / explained[kept].sqrt()
    return Eraser(
        network, hook, state, moments.mean, cross @ axes, (inverse[:, None] * solved @ axes).T
    )


def _check_targets(moments: Moments) -> None:
    rounding = torch.finfo(torch.float64).eps * moments.rows * moments.target_mean.square()
    constant = moments.target_squares <= rounding
    if constant.any():
        raise ValueError(
            f"Target {int(constant.nonzero()[0, 0])} is the same in every row: there is nothing "
            "to erase."
        )

"""Linear discriminants: the mean difference, and the mean difference in white coordinates (LDA).

LDA takes the rows of each class as Gaussian about its mean with one covariance

    Σ = (1 - s) W  +  s (tr W / d) 1            W = within-class scatter / rows

where s is the shrinkage. A class scores mean' Σ⁻¹ x - ½ mean' Σ⁻¹ mean + log(share of rows), and
the one score of two classes is the difference, the log-odds of class 1. With s = 0 it is Fisher's
discriminant; the larger s, the nearer to the plain mean difference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from probes.moments import ClassMoments
from probes.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class Discriminants:
    """A discriminant for each shrinkage: acts @ weight + bias, whose largest score is the class.

    Two classes have one score, above 0 for class 1.
    """

    weight: Float64[Tensor, "shrinkages d scores"]
    """For activations as they are recorded."""
    bias: Float64[Tensor, "shrinkages scores"]
    """Scores where every activation is 0."""


def fit_lda(classes: ClassMoments, shrinkages: Sequence[float]) -> Discriminants:
    """LDA at each shrinkage, as scikit-learn's LinearDiscriminantAnalysis(solver="lsqr").

    Args:
        classes: Moments of the training rows.
        shrinkages: From 0 to 1. At 0, directions in which no class scatters are left out.

    Raises:
        ValueError: If there is no shrinkage, or one is not from 0 to 1.
    """
    _check_shrinkages(shrinkages)
    shrunk = torch.tensor(shrinkages, dtype=torch.float64)
    rows = classes.counts.sum()
    within = classes.within / rows
    spectrum = Spectrum.of(within)
    shifts = shrunk * within.diagonal().mean()
    weight = spectrum.solve(classes.means.T, shifts, 1 - shrunk)
    return _scored(classes, weight, (classes.counts / rows).double().log())


def mean_difference(classes: ClassMoments) -> Discriminants:
    """The nearest class mean, whatever its share of the rows; of two classes, their difference."""
    return _scored(classes, classes.means.T[None], torch.zeros(len(classes.counts)).double())


def _scored(
    classes: ClassMoments,
    weight: Float64[Tensor, "shrinkages d classes"],
    prior: Float64[Tensor, " classes"],
) -> Discriminants:
    bias = prior - (classes.means.T * weight).sum(1) / 2
    if len(prior) == 2:
        weight, bias = weight.diff(dim=2), bias.diff(dim=1)
    return Discriminants(weight, bias)


def _check_shrinkages(shrinkages: Sequence[float]) -> None:
    if not len(shrinkages):
        raise ValueError("There is no shrinkage: give at least one from 0 to 1.")
    for shrinkage in shrinkages:
        if not 0 <= shrinkage <= 1:
            raise ValueError(f"The shrinkage {shrinkage} is not from 0 to 1.")

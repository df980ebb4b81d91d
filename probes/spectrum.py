"""One eigendecomposition that solves a symmetric system at many strengths of its diagonal."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

_REFINEMENTS = 2


@dataclass(frozen=True, eq=False)
class Spectrum:
    """A symmetric matrix with no negative eigenvalue, and its eigenvectors."""

    matrix: Float64[Tensor, "d d"]
    values: Float64[Tensor, " d"]
    """In ascending order, none below 0."""
    vectors: Float64[Tensor, "d d"]

    @classmethod
    def of(cls, matrix: Float64[Tensor, "d d"]) -> "Spectrum":
        """The eigendecomposition of the matrix."""
        values, vectors = torch.linalg.eigh(matrix)
        return cls(matrix, values.clamp_min(0), vectors)

    def solve(
        self,
        right: Float64[Tensor, "d q"],
        shifts: Float64[Tensor, " s"],
        factors: Float64[Tensor, " s"] | None = None,
    ) -> Float64[Tensor, "s d q"]:
        """Solutions w of (factor · matrix + shift · 1) w = right, for each factor and shift.

        Where the shift is 0, directions in which the matrix is 0 to rounding are left out: w is
        the shortest of the best. Solutions are improved by their own residuals, so that units of
        very unequal size do not spoil each other.

        Args:
            right: A column for each system.
            shifts: At least 0.
            factors: At least 0; 1 where not given.
        """
        factors = torch.ones_like(shifts) if factors is None else factors
        inverse = self._inverse(shifts, factors)[:, :, None]
        solution = torch.zeros(len(shifts), *right.shape, dtype=right.dtype)
        for _ in range(1 + _REFINEMENTS):
            error = self.residual(solution, right, shifts, factors)
            solution = solution + self.vectors @ (inverse * (self.vectors.T @ error))
        return solution

    def residual(
        self,
        solution: Float64[Tensor, "s d q"],
        right: Float64[Tensor, "d q"],
        shifts: Float64[Tensor, " s"],
        factors: Float64[Tensor, " s"],
    ) -> Float64[Tensor, "s d q"]:
        """What the solutions leave of the right side."""
        shifts, factors = shifts[:, None, None], factors[:, None, None]
        return right - factors * (self.matrix @ solution) - shifts * solution

    def _inverse(
        self, shifts: Float64[Tensor, " s"], factors: Float64[Tensor, " s"]
    ) -> Float64[Tensor, "s d"]:
        shifted = factors[:, None] * self.values + shifts[:, None]
        nothing = len(self.values) * torch.finfo(torch.float64).eps * shifted[:, -1:]
        kept = (shifted > nothing) | (shifts[:, None] > 0)
        return torch.where(kept, 1 / shifted, 0)

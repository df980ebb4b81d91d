"""Many convex functions are minimised at once, each as far as its tolerance asks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.lbfgs import minimise_many


def quadratics(seed: int, size: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    roots = torch.randn(count, size, size, generator=draw, dtype=torch.float64)
    hessians = roots @ roots.mT + 0.1 * torch.eye(size)
    return hessians, torch.randn(size, count, generator=draw, dtype=torch.float64)


@given(seed=st.integers(0, 99), size=st.integers(1, 12), count=st.integers(1, 5))
def test_quadratics_are_solved_as_by_their_equations(seed: int, size: int, count: int) -> None:
    hessians, lowest = quadratics(seed, size, count)

    def slopes(points: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        return torch.einsum("qij, jq -> iq", hessians[which], points - lowest[:, which])

    diagonals = hessians.diagonal(dim1=1, dim2=2).T
    found = minimise_many(
        slopes,
        lambda _, which: diagonals[:, which],
        torch.zeros_like(lowest),
        tolerance=1e-20,
        max_steps=500,
    )
    assert found.finished.all()
    assert found.points.shape == lowest.shape
    torch.testing.assert_close(found.points, lowest, rtol=0, atol=1e-6)


def test_a_step_that_would_overshoot_is_cut() -> None:
    """Far out the curvature of log cosh is almost 0, and a step by it would leave for infinity."""

    def slopes(points: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return points.tanh()

    def curvature(points: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return (1 - points.tanh().square()).clamp_min(1e-6)

    start = torch.tensor([[0.1, 3.0, -8.0]], dtype=torch.float64)
    found = minimise_many(slopes, curvature, start, tolerance=1e-16, max_steps=100)
    assert found.finished.all()
    torch.testing.assert_close(found.points, torch.zeros_like(start), rtol=0, atol=1e-7)


def test_what_is_finished_is_not_evaluated_again() -> None:
    asked = []

    def slopes(points: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        asked.append(which.tolist())
        return points * torch.tensor([1.0, 5.0])[which]

    start = torch.tensor([[0.0, 1.0]])
    found = minimise_many(
        slopes, lambda points, _: torch.ones_like(points), start, tolerance=1e-9, max_steps=50
    )
    assert found.finished.all()
    assert asked[0] == [0, 1]
    assert all(which == [1] for which in asked[1:])
    assert found.evaluations == len(asked)


def test_what_has_not_been_reached_is_said() -> None:
    start = torch.full((1, 2), 10.0)
    start[0, 1] = 0
    found = minimise_many(
        lambda points, _: points, lambda points, _: torch.full_like(points, 100.0), start,
        tolerance=1e-9, max_steps=1,
    )  # fmt: skip
    assert found.finished.tolist() == [False, True]
    assert found.excess[0] == pytest.approx(float(found.points[0, 0]) ** 2 / 200)

"""Moments against float64 sums over all rows, however the rows come."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.moments import (
    Moments,
    class_moments,
    class_targets,
    measure_moments,
    stream_moments,
)


def rows_of(n: int, d: int, q: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    acts = random.normal(size=(n, d)) @ random.normal(size=(d, d)) + 3 * random.normal(size=d)
    return acts, random.normal(size=(n, q)) + acts[:, :1]


def check_moments(found: Moments, acts: np.ndarray, targets: np.ndarray, rtol: float) -> None:
    """Against sums over the centred rows, relative to the size of what is multiplied."""
    x, y = (np.asarray(part, np.float64) for part in (acts, targets))
    x0, y0 = x - x.mean(axis=0), y - y.mean(axis=0)
    x_size, y_size = np.linalg.norm(x0, axis=0), np.linalg.norm(y0, axis=0)
    assert found.rows == len(x)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(found.target_mean, y.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.target_squares, y_size**2, rtol=1e-9)
    assert np.max(np.abs(found.gram.numpy() - x0.T @ x0) / np.outer(x_size, x_size)) < rtol
    assert np.max(np.abs(found.cross.numpy() - x0.T @ y0) / np.outer(x_size, y_size)) < rtol
    for part in (found.mean, found.gram, found.target_mean, found.cross, found.target_squares):
        assert part.dtype == torch.float64


@pytest.mark.parametrize(
    ("dtype", "double", "rtol"),
    [
        (torch.float32, False, 1e-6),
        (torch.float32, True, 1e-13),
        (torch.float64, False, 1e-13),
        (torch.bfloat16, False, 1e-6),
        (torch.float16, True, 1e-13),
    ],
)
def test_moments_are_those_of_the_rows_in_every_type(
    dtype: torch.dtype, double: bool, rtol: float
) -> None:
    acts, targets = rows_of(9000, 7, 3)
    recorded = torch.from_numpy(acts).to(dtype)
    found = measure_moments(recorded, targets, double=double)
    assert found.double == (double or dtype == torch.float64)
    check_moments(found, recorded.double().numpy(), targets, rtol)


@given(
    cuts=st.lists(st.integers(0, 60), max_size=6),
    seed=st.integers(0, 99),
)
def test_batches_of_any_sizes_have_the_moments_of_all_rows(cuts: list[int], seed: int) -> None:
    acts, targets = rows_of(60, 4, 2, seed)
    edges = [0, *sorted(cuts), 60]
    batches = [(acts[a:b], targets[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    check_moments(stream_moments(batches), acts, targets, 1e-12)


@given(cut=st.integers(1, 59), seed=st.integers(0, 99))
def test_merged_moments_are_those_of_the_rows_of_both(cut: int, seed: int) -> None:
    acts, targets = rows_of(60, 4, 2, seed)
    acts[cut:] += 100
    halves = (measure_moments(acts[part], targets[part]) for part in np.split(np.arange(60), [cut]))
    merged = Moments.merged(*halves)
    check_moments(merged, acts, targets, 1e-10)


def test_blocks_of_other_means_are_joined_without_loss() -> None:
    acts, targets = rows_of(20_000, 5, 2)
    acts += np.linspace(0, 1000, 20_000)[:, None]
    recorded = torch.from_numpy(acts).float()
    batches = zip(recorded.split(700), torch.from_numpy(targets).split(700), strict=True)
    check_moments(stream_moments(batches), acts.astype(np.float32), targets, 1e-6)


def test_a_small_spread_far_from_zero_is_not_lost() -> None:
    acts, targets = rows_of(500, 4, 2)
    far = (acts + 1e4).astype(np.float32)
    check_moments(measure_moments(far, targets), far, targets, 1e-5)


def test_a_unit_that_does_not_move_has_scale_0_and_others_their_standard_deviation() -> None:
    acts, targets = rows_of(5000, 4, 1)
    acts[:, 2] = 0.1
    for kind in (np.float32, np.float64):
        recorded = acts.astype(kind)
        scale = measure_moments(recorded, targets, double=True).scale.numpy()
        assert scale[2] == 0
        np.testing.assert_allclose(scale[[0, 1, 3]], acts.std(axis=0)[[0, 1, 3]], rtol=1e-5)


@given(classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_class_moments_are_those_of_the_rows_of_each_class(classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), random.integers(classes, size=50)]
    acts = random.normal(size=(len(labels), 3)) + 5 + labels[:, None]
    other = random.normal(size=(len(labels), 1))
    targets = class_targets(labels, classes)
    both = np.hstack([other, targets.numpy()])
    found = class_moments(measure_moments(acts, both).of_targets(slice(1, None)))
    parts = [acts[labels == label] for label in range(classes)]
    assert found.counts.tolist() == [len(part) for part in parts]
    np.testing.assert_allclose(found.means, [part.mean(axis=0) for part in parts])
    within = sum(np.cov(part.T, bias=True) * len(part) for part in parts)
    np.testing.assert_allclose(found.within, within, atol=1e-9)


def test_signed_moments_are_those_of_signed_targets() -> None:
    acts, _ = rows_of(300, 4, 1)
    labels = (acts[:, :2] > 3).astype(np.float64)
    check_moments(measure_moments(acts, labels).signed(), acts, 2 * labels - 1, 1e-12)


def test_two_classes_are_one_column_and_more_a_column_each() -> None:
    assert class_targets(np.array([0, 1, 1]), 2).tolist() == [[0], [1], [1]]
    assert class_targets(np.array([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        ([0, 3], 3, "The label at row 1 is 3: it must be from 0 to 2."),
        ([-1, 0], 2, "The label at row 0 is -1: it must be from 0 to 1."),
        ([0, 0], 1, "There are 1 classes"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, classes: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        class_targets(np.array(labels), classes)


def test_targets_that_are_no_classes_are_refused() -> None:
    acts = np.random.default_rng(0).normal(size=(4, 2))
    for targets in ([[0.5], [1], [0], [1]], [[1, 0], [1, 1], [0, 1], [1, 1]]):
        with pytest.raises(ValueError, match="are not classes"):
            class_moments(measure_moments(acts, np.array(targets, np.float64)))
    with pytest.raises(ValueError, match="Class 1 has no row"):
        class_moments(measure_moments(acts, class_targets(np.array([0, 2, 0, 2]), 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_named_with_its_place(value: float) -> None:
    acts, targets = rows_of(9000, 3, 2)
    acts[8500, 1] = value
    for recorded in (acts, acts.astype(np.float32)):
        with pytest.raises(ValueError, match="The activation of unit 1 at row 8500 is"):
            measure_moments(recorded, targets)
    acts[8500, 1], targets[4999, 0] = 0, value
    with pytest.raises(ValueError, match="The target of column 0 at row 4999 is"):
        stream_moments([(acts[:100], targets[:100]), (acts[100:], targets[100:])])


def test_activations_too_large_to_square_are_named() -> None:
    acts = np.zeros((3, 2), np.float32)
    acts[0, 1] = 1e30
    with pytest.raises(ValueError, match="The activations of unit 1 are too large to square"):
        measure_moments(acts, np.zeros((3, 1)))


def test_rows_that_do_not_fit_together_are_refused() -> None:
    acts, targets = rows_of(10, 3, 2)
    with pytest.raises(ValueError, match="10 rows of activations and 9 of targets"):
        measure_moments(acts, targets[:9])
    with pytest.raises(ValueError, match="There is no row to measure"):
        stream_moments([])
    with pytest.raises(ValueError, match=r"Batches have .*\(2, 2\), \(3, 2\)"):
        stream_moments(iter([(acts, targets), (acts[:, :2], targets)]))

"""Accuracy against the number of labels."""

import numpy as np
import pytest

from probes.labels import label_curve


def planted(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Thirty units; unit 3 carries the label, and a third of the labels are 1."""
    random = np.random.default_rng(seed)
    labels = (random.random(rows) < 1 / 3).astype(np.int64)
    acts = random.normal(size=(rows, 30))
    acts[:, 3] += 2 * labels
    return acts, labels


TRAIN, DEV, TEST = planted(300, 0), planted(200, 1), planted(400, 2)


def test_more_labels_make_better_probes() -> None:
    curve = label_curve(*TRAIN, *DEV, *TEST, counts=[2, 16, 128], seeds=range(4))
    assert [(point.labels, point.seed) for point in curve] == [
        (count, seed) for count in (2, 16, 128) for seed in range(4)
    ]
    means = np.array([point.accuracy for point in curve]).reshape(3, 4).mean(axis=1)
    assert means[0] < means[1] < means[2]
    assert means[2] > 0.75
    assert all(point.n_nonzero > 0 for point in curve if point.labels > 2)


def test_counts_double_up_to_all_that_a_balanced_draw_can_hold() -> None:
    few = TRAIN[0][:30], TRAIN[1][:30]
    rarer = int(few[1].sum())
    counts = [point.labels for point in label_curve(*few, *DEV, *TEST, seeds=[0])]
    assert counts[:3] == [2, 4, 8]
    assert counts[-1] == 2 * rarer


def test_rows_beyond_the_draw_have_no_say() -> None:
    """A curve is the same when the labels outside its largest balanced draw are wrong."""
    acts, labels = TRAIN
    shuffled = np.random.default_rng(5).permutation(len(labels))
    drawn = np.concatenate([shuffled[labels[shuffled] == label][:4] for label in (0, 1)])
    spoilt = acts.copy()
    spoilt[np.setdiff1d(np.arange(len(labels)), drawn)] = 0
    curves = [
        label_curve(table, labels, *DEV, *TEST, counts=[2, 8], seeds=[5])
        for table in (acts, spoilt)
    ]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("count", [0, 3, 1000])
def test_a_count_that_no_balanced_draw_has_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"is {count}: balanced draws need an even one from 2 to"):
        label_curve(*TRAIN, *DEV, *TEST, counts=[count])

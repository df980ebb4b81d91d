"""Every unit ranked by AUROC and best threshold, beside scikit-learn one unit after the other."""

from collections.abc import Callable, Iterator

import numpy as np
from sklearn.metrics import auc, roc_auc_score, roc_curve

from benchmarks.timing import Row, Seconds, check_within, clock, compare, show
from probes.ranking import rank_units

SAMPLED = 16
"""Units that the peer ranks, drawn at random; its time for all of them is extrapolated."""
LEVELS = 8
"""Steps in a standard deviation of the units, one in four, whose activations are often tied."""
Peer = Callable[[np.ndarray, np.ndarray], tuple[float, float]]
"""From the activations of a unit and the labels to its AUROC and its accuracy."""


def rows(quick: bool) -> Iterator[Row]:
    """4,096 units on 50,000 rows, or 256 on 2,000 if quick, against two ways of asking."""
    n, units = (2_000, 256) if quick else (50_000, 4_096)
    acts, labels = _table(n, units)
    sampled = np.random.default_rng(1).choice(units, SAMPLED, replace=False)
    peers: list[tuple[str, Peer, float | None]] = [
        ("roc_auc_score and roc_curve", _by_both, 20),
        ("roc_curve alone", _by_curve, None),
    ]
    for name, peer, bar in peers:
        row = Row(
            f"AUROC and best threshold of {units:,} units on {n:,} rows",
            "units/s",
            f"{name} of scikit-learn in a loop, extrapolated from {SAMPLED} random units",
            bar=bar,
            equal=_equal(acts, labels, sampled, peer),
        )

        def in_a_loop(peer: Peer = peer) -> Seconds:
            start = clock()
            for unit in sampled:
                peer(acts[:, unit], labels)
            return Seconds((clock() - start) * units / SAMPLED)

        yield compare(row, units, lambda: rank_units(acts, labels), in_a_loop, repeats=5)


def _table(n: int, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Single-precision activations that move with the label, each unit to its own degree."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=n)
    acts = random.standard_normal((n, units), dtype=np.float32)
    effect = random.normal(scale=0.3, size=units).astype(np.float32)
    acts[labels == 1] += effect
    acts[:, ::4] = np.round(acts[:, ::4] * LEVELS) / LEVELS
    return acts, labels


def _by_both(unit: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    rates = roc_curve(labels, unit, drop_intermediate=False)
    return float(roc_auc_score(labels, unit)), _best_accuracy(rates[0], rates[1], labels)


def _by_curve(unit: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """The quicker way: the area is that under the curve whose thresholds are tried."""
    rates = roc_curve(labels, unit, drop_intermediate=False)
    return float(auc(rates[0], rates[1])), _best_accuracy(rates[0], rates[1], labels)


def _best_accuracy(
    false_positive: np.ndarray, true_positive: np.ndarray, labels: np.ndarray
) -> float:
    """Of every threshold, in either direction."""
    share = labels.mean()
    right = share * true_positive + (1 - share) * (1 - false_positive)
    return float(np.maximum(right, 1 - right).max())


def _equal(acts: np.ndarray, labels: np.ndarray, sampled: np.ndarray, peer: Peer) -> str:
    ranking = rank_units(acts, labels)
    ours = np.stack([ranking.auroc[sampled], ranking.accuracy[sampled]], axis=1)
    theirs = np.array([peer(acts[:, unit], labels) for unit in sampled])
    tied = np.count_nonzero(sampled % 4 == 0)
    difference = float(np.abs(ours - theirs).max())
    return check_within(
        difference, 1e-6, f"AUROC and accuracy of the {SAMPLED} units ({tied} with ties)"
    )


if __name__ == "__main__":
    show([rows])

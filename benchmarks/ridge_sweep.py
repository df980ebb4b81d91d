"""Ridge probes of every layer, state and strength, beside scikit-learn strength by strength."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from benchmarks.probe_sweep import STATES, activations
from benchmarks.timing import Row, Seconds, check_within, clock, compare, show
from probes.ridge import RidgeFits, fit_ridge

STRENGTHS = tuple(10.0**power for power in range(-2, 6))
SAMPLED = 8
"""Cells that the loop over states fits, drawn at random; its time for all is extrapolated."""
SAME = 1e-4
"""How far weights may be apart, over their length."""
Cell = tuple[int, int, int]
"""Layer, strength, state."""


def rows(quick: bool) -> Iterator[Row]:
    """Against all states at once, and state by state, in the quickest type that gives the same."""
    sweep = Sweep(2, 3_000, 48) if quick else Sweep(12, 50_000, 768)
    work = (
        f"{sweep.layers} layers × {STATES} binary states × {len(STRENGTHS)} strengths of ridge on "
        f"{sweep.n:,} × {sweep.d}, {sweep.precision}"
    )
    hasty = sweep.apart(np.float32)
    dtype = np.float32 if hasty <= SAME else np.float64
    name = np.dtype(dtype).name
    why = "" if dtype is np.float32 else f", since its float32 weights are {hasty:.0e} away"
    at_once = Row(
        work,
        "fits/s",
        f"scikit-learn Ridge of all states, a fit for each strength, {name}{why}",
        bar=5,
        equal=check_within(sweep.apart(dtype), SAME, "weights over their length"),
    )
    yield compare(at_once, sweep.cells, sweep.ours, lambda: sweep.at_once(dtype), repeats=3)
    one_by_one = Row(
        work,
        "fits/s",
        f"scikit-learn RidgeClassifier in a loop, {name}, extrapolated from {SAMPLED} random cells",
        bar=100,
        equal=check_within(sweep.apart_one_by_one(dtype), SAME, "weights over their length"),
    )
    yield compare(one_by_one, sweep.cells, sweep.ours, lambda: sweep.one_by_one(dtype), repeats=3)


@dataclass
class Sweep:
    """Activations of some layers with eight binary states, held-out rows included."""

    layers: int
    n: int
    d: int

    @property
    def cells(self) -> int:
        """Number of fits."""
        return self.layers * len(STRENGTHS) * STATES

    @cached_property
    def data(self) -> list[tuple[Tensor, Tensor]]:
        """Activations of every layer, and its states as -1 and 1."""
        drawn = (activations(self.n + self.n // 5, self.d, seed) for seed in range(self.layers))
        return [(acts, 2 * labels - 1) for acts, labels in drawn]

    @cached_property
    def fits(self) -> list[RidgeFits]:
        """Of ours, layer by layer."""
        return [self._fit(acts, states) for acts, states in self.data]

    @property
    def precision(self) -> str:
        """What ours chose for the products of each layer."""
        double = sum(fits.double for fits in self.fits)
        return f"float64 chosen for {double} of {self.layers} layers"

    def ours(self) -> Tensor:
        """Held-out accuracy (layers, strengths, states)."""
        found = []
        for acts, states in self.data:
            fits = self._fit(acts, states)
            scores = acts[self.n :] @ fits.weight.float() + fits.bias[:, None].float()
            found.append(((scores > 0) == (states[self.n :] > 0)).double().mean(1))
        return torch.stack(found)

    def at_once(self, dtype: type) -> np.ndarray:
        """Held-out accuracy, as `ours`, by a fit of all states for each strength."""
        found = []
        for layer, (_, states) in enumerate(self.data):
            train, held_out, _ = self._scaled(layer, dtype)
            fitted = self._multi_target(layer, train)
            truth = states[self.n :].numpy() > 0
            found.append([((fit.predict(held_out) > 0) == truth).mean(0) for fit in fitted])
        return np.array(found)

    def one_by_one(self, dtype: type) -> Seconds:
        """Time that a loop over every cell would take."""
        of_scaling = of_fitting = 0.0
        for layer, strength, state in self.sampled:
            start = clock()
            train, held_out, _ = self._scaled(layer, dtype)
            scaled = clock()
            states = self.data[layer][1][:, state].numpy()
            fit = RidgeClassifier(alpha=STRENGTHS[strength]).fit(train, states[: self.n])
            fit.score(held_out, states[self.n :])
            of_scaling += scaled - start
            of_fitting += clock() - scaled
        return Seconds((of_scaling * self.layers + of_fitting * self.cells) / SAMPLED)

    @cached_property
    def sampled(self) -> list[Cell]:
        """The cells that the loop fits."""
        drawn = np.random.default_rng(0).choice(self.cells, SAMPLED, replace=False)
        shape = self.layers, len(STRENGTHS), STATES
        return list(zip(*(axis.tolist() for axis in np.unravel_index(drawn, shape)), strict=True))

    def apart(self, dtype: type) -> float:
        """How far the weights of scikit-learn's multi-target fits are from ours, at most."""
        worst = 0.0
        for layer, fits in enumerate(self.fits):
            train, _, scale = self._scaled(layer, dtype)
            for fit, weight in zip(self._multi_target(layer, train), fits.weight, strict=True):
                worst = max(worst, _apart(weight.numpy() * scale[:, None], fit.coef_.T))
        return worst

    def apart_one_by_one(self, dtype: type) -> float:
        """The same of the sampled cells."""
        worst = 0.0
        for layer, strength, state in self.sampled:
            train, _, scale = self._scaled(layer, dtype)
            states = self.data[layer][1][: self.n, state].numpy()
            fit = RidgeClassifier(alpha=STRENGTHS[strength]).fit(train, states)
            weight = self.fits[layer].weight[strength, :, state].numpy() * scale
            worst = max(worst, _apart(weight[:, None], np.ravel(fit.coef_)[:, None]))
        return worst

    def _fit(self, acts: Tensor, states: Tensor) -> RidgeFits:
        return fit_ridge(acts[: self.n], states[: self.n], STRENGTHS)

    def _multi_target(self, layer: int, train: np.ndarray) -> list[Ridge]:
        states = self.data[layer][1][: self.n].numpy().astype(train.dtype)
        return [Ridge(alpha=strength).fit(train, states) for strength in STRENGTHS]

    def _scaled(self, layer: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(train, held out, scale) by a StandardScaler."""
        acts = self.data[layer][0].numpy().astype(dtype, copy=False)
        scaler = StandardScaler().fit(acts[: self.n])
        train, held_out = (scaler.transform(part) for part in (acts[: self.n], acts[self.n :]))
        return np.asarray(train), np.asarray(held_out), np.asarray(scaler.scale_)


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest distance of two columns over their length."""
    return float((np.linalg.norm(ours - theirs, axis=0) / np.linalg.norm(theirs, axis=0)).max())


if __name__ == "__main__":
    show([rows])

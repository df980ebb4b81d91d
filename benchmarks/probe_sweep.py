"""L2 logistic probes of every layer, state and strength, beside scikit-learn one by one."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks.timing import Row, Seconds, check_within, clock, compare, show
from probes.logistic_sweep import fit_logistic

STRENGTHS = tuple(10.0**power for power in range(-4, 4))
STATES = 8
SAMPLED = 8
"""Cells that the peer fits, drawn at random; its time for all of them is extrapolated."""
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)
"""Of scikit-learn, from loose to its default."""
SAME = 1e-3
"""Nats a row of held-out loss that two fits of a cell may differ by."""
Cell = tuple[int, int, int]
"""Layer, state, strength."""


def rows(quick: bool) -> Iterator[Row]:
    """Against the default tolerance, and against the loosest that gives the same loss."""
    sweep = Sweep(2, 5_000, 32) if quick else Sweep(12, 50_000, 768)
    losses = sweep.ours()
    apart = {tol: sweep.apart(losses, tol) for tol in TOLERANCES}
    loosest = next((tol for tol in TOLERANCES if apart[tol] <= SAME), TOLERANCES[-1])
    for tol, bar, said in (
        (TOLERANCES[-1], 15, "its default"),
        (loosest, 10, "its loosest with the same held-out loss"),
    ):
        row = Row(
            f"{sweep.layers} layers × {STATES} states × {len(STRENGTHS)} strengths of L2 logistic "
            f"regression on {sweep.n:,} × {sweep.d}",
            "fits/s",
            f"scikit-learn lbfgs in a loop, tolerance {tol:g}, {said}, extrapolated from "
            f"{SAMPLED} random cells",
            bar=bar,
            equal=check_within(apart[tol], SAME, "held-out log losses"),
        )
        yield compare(row, sweep.cells, sweep.ours, lambda t=tol: sweep.peer(t), repeats=2)


@dataclass
class Sweep:
    """Activations of some layers with eight binary states, held-out rows included."""

    layers: int
    n: int
    d: int

    @property
    def cells(self) -> int:
        """Number of fits."""
        return self.layers * STATES * len(STRENGTHS)

    @cached_property
    def data(self) -> list[tuple[Tensor, Tensor]]:
        """Activations and labels of every layer."""
        return [activations(self.n + self.n // 5, self.d, seed) for seed in range(self.layers)]

    @cached_property
    def sampled(self) -> list[Cell]:
        """The cells that the peer fits, those of a layer together."""
        draw = np.random.default_rng(0).choice(self.cells, SAMPLED, replace=False)
        shape = self.layers, STATES, len(STRENGTHS)
        return sorted(zip(*(axis.tolist() for axis in np.unravel_index(draw, shape)), strict=True))

    def ours(self) -> Tensor:
        """Held-out loss (layers, strengths, states)."""
        return torch.stack([self._layer(acts, labels) for acts, labels in self.data])

    def _layer(self, acts: Tensor, labels: Tensor) -> Tensor:
        fits = fit_logistic(acts[: self.n], labels[: self.n], strengths=STRENGTHS)
        held_out, truth = acts[self.n :], labels[self.n :].float()
        margins = held_out @ fits.weight.flatten(0, 2).T + fits.bias.flatten()
        margins = margins.unflatten(1, (len(STRENGTHS), STATES))
        return (softplus(margins) - margins * truth[:, None]).mean(0)

    def peer(self, tol: float) -> Seconds:
        """Time that scikit-learn would take for all cells."""
        start = clock()
        self.of_peer(tol)
        taken, of_scaling = clock() - start, self._scaling()
        fitting = taken - of_scaling * len({layer for layer, _, _ in self.sampled})
        return Seconds(of_scaling * self.layers + fitting * self.cells / SAMPLED)

    def _scaling(self) -> float:
        """Time that it takes to scale a layer."""
        start = clock()
        acts = self.data[0][0]
        scaler = StandardScaler().fit(acts[: self.n].numpy())
        scaler.transform(acts[: self.n].numpy())
        scaler.transform(acts[self.n :].numpy())
        return clock() - start

    def of_peer(self, tol: float) -> list[float]:
        """Held-out loss of each sampled cell by scikit-learn."""
        found, scaled = [], (-1, np.empty(0), np.empty(0))
        for layer, state, strength in self.sampled:
            acts, labels = self.data[layer]
            if scaled[0] != layer:
                scaler = StandardScaler().fit(acts[: self.n].numpy())
                parts = acts[: self.n], acts[self.n :]
                scaled = (layer, *(scaler.transform(part.numpy()) for part in parts))
            model = LogisticRegression(C=STRENGTHS[strength], tol=tol, max_iter=10_000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(scaled[1], labels[: self.n, state].numpy())
            chances = model.predict_proba(scaled[2])
            found.append(log_loss(labels[self.n :, state].numpy(), chances, labels=[0, 1]))
        return found

    def apart(self, losses: Tensor, tol: float) -> float:
        """How far the peer's held-out losses are from ours at most."""
        ours = [float(losses[layer, strength, state]) for layer, state, strength in self.sampled]
        return float(np.abs(np.subtract(ours, self.of_peer(tol))).max())


def activations(n: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows as networks give them: correlated units of very different sizes, some rows far out.

    Returns:
        Activations (n, d), and states (n, 8) that depend on many directions of them, with noise.
    """
    draw = torch.Generator().manual_seed(seed)
    sizes = torch.logspace(0, -2.5, d)
    rows = torch.randn(n, d, generator=draw) * sizes * (torch.rand(n, 1, generator=draw) + 0.5)
    basis = torch.linalg.qr(torch.randn(d, d, generator=draw)).Q
    directions = torch.randn(d, STATES, generator=draw) / sizes.sqrt()[:, None]
    scores = rows @ directions
    chances = torch.sigmoid(2 * scores / scores.std(0))
    acts = rows @ basis.T
    acts[:, :4] *= 50
    acts[:, 4] += 20
    return acts, (chances > torch.rand(n, STATES, generator=draw)).long()


if __name__ == "__main__":
    show([rows])

"""Placebos: steering along features that do not track the state, as far as the real one moved.

A placebo is compared in two ways. At equal norm it moves each row at each step exactly as far as
the real edit moved it there (`Recorder`, `Replay`); at equal sd it is steered by the same number
of its own standard deviations.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from worldscope.features.feature import Feature, direction_feature, unit_feature
from worldscope.features.statistics import Statistics
from worldscope.measures import check_labels
from worldscope.networks.hooked import HookPoint
from worldscope.networks.mlstm import MLSTM
from worldscope.steering.edits import Edit

COUNT = 20
"""How many placebos a claim needs at the least."""
EQUAL_NORM, EQUAL_SD = "placebo equal norm", "placebo equal sd"
"""The two comparisons, as tables name them."""


class TooFewUnits(ValueError):
    """Not as many units as are wanted stay clear of the label."""


class Recorder:
    """Applies an edit and keeps how far it moved each row, call by call."""

    def __init__(self, edit: Edit):
        self.edit = edit
        self.moves: list[Float[Tensor, " b"]] = []
        """Length of the change of every row, negative where it went against the feature's label."""

    @property
    def norms(self) -> list[Float[Tensor, " b"]]:
        """‖Δx‖ of every row, call by call."""
        return [moved.abs() for moved in self.moves]

    def __call__(self, acts: Float[Tensor, "b 1 d"], hook: HookPoint) -> Float[Tensor, "b 1 d"]:
        """Applies the edit to the activations of one step."""
        edited = self.edit(acts, hook)
        change = (edited - acts).squeeze(1)
        towards = torch.as_tensor(self.edit.feature.write, device=acts.device)
        side = torch.sign(change @ towards) * self.edit.feature.sign
        self.moves.append(torch.linalg.vector_norm(change, dim=1) * side)
        return edited


class Replay:
    """Moves each row along a direction as far as it was moved at the same call before.

    It is used once, on the same batches in the same order as the recorder.
    """

    def __init__(
        self,
        direction: Float[np.ndarray, " d"],
        moves: Sequence[Float[Tensor, " b"]],
        sign: float = 1.0,
    ):
        """Args:
        direction: Of the placebo; only where it points matters.
        moves: Lengths from a recorder, call by call.
        sign: +1 or −1, applied to every length.
        """
        self._direction = torch.as_tensor(direction / np.linalg.norm(direction))
        self._moves = moves
        self._sign = sign
        self._calls = 0

    def __call__(self, acts: Float[Tensor, "b 1 d"], hook: HookPoint) -> Float[Tensor, "b 1 d"]:
        """Applies the next recorded lengths.

        Raises:
            ValueError: If the batches are not those that were recorded.
        """
        recorded = len(self._moves[self._calls]) if self._calls < len(self._moves) else 0
        if recorded != len(acts):
            raise ValueError(
                f"call {self._calls} at {hook.name} has {len(acts)} rows and {recorded} were "
                "recorded: replay on the same texts, prompts and seeds"
            )
        lengths = self._sign * self._moves[self._calls]
        self._calls += 1
        return acts + lengths[:, None, None] * self._direction.to(acts)


def placebo_units(
    network: MLSTM,
    statistics: Statistics,
    states: Mapping[tuple[str, str], Float[np.ndarray, "n d"]],
    labels: Integer[np.ndarray, " n"],
    *,
    count: int = COUNT,
    limit: float = 0.3,
    seed: int,
) -> list[Feature]:
    """Units that do not track the label, drawn at random, each with a random sign.

    Args:
        network: Whose units they are.
        statistics: Of the hook that is steered, over training text.
        states: As `read_states` gives them; a unit's correlation with the label must be under
            `limit` at every position of the steered hook that is here.
        labels: 0 or 1 for each text.
        count: How many.
        limit: Absolute correlation that a placebo stays under.
        seed: Seed of the draw.

    Raises:
        LookupError: If the states do not hold the steered hook.
        TooFewUnits: If fewer units qualify than are wanted.
    """
    check_labels(labels, rows=len(labels))
    of_hook = [acts for (hook, _), acts in states.items() if hook == statistics.hook]
    if not of_hook:
        raise LookupError(f"the states do not hold {statistics.hook}: read that hook's states too")
    fit = (statistics.sd > 0) & np.all([_untracking(a, labels, limit) for a in of_hook], axis=0)
    candidates = np.flatnonzero(fit)
    if len(candidates) < count:
        raise TooFewUnits(
            f"{len(candidates)} units of {statistics.hook} correlate under {limit} with the label "
            f"and {count} are wanted: ask for fewer, or use placebo_directions"
        )
    random = np.random.default_rng(seed)
    units = random.choice(candidates, size=count, replace=False)
    signs = random.choice([-1, 1], size=count)
    return [
        unit_feature(network, statistics, int(unit), sign=int(sign), label="placebo")
        for unit, sign in zip(units, signs, strict=True)
    ]


def placebo_directions(
    network: MLSTM, statistics: Statistics, *, count: int = COUNT, seed: int
) -> list[Feature]:
    """Directions drawn from N(0, Σ), Σ the covariance of the activations at the steered hook."""
    variances, axes = np.linalg.eigh(statistics.covariance)
    spread = axes * np.sqrt(np.clip(variances, 0, None))
    random = np.random.default_rng(seed)
    directions = random.standard_normal((count, len(spread))) @ spread.T
    return [
        direction_feature(
            network, statistics, direction, label="placebo", origin=f"random direction {index}"
        )
        for index, direction in enumerate(directions)
    ]


def check_comparable(network: MLSTM, feature: Feature, placebo: Feature) -> None:
    """Raises:
    ValueError: If either belongs to another network, or they lie at different hooks.
    """
    feature.check_fits(network)
    placebo.check_fits(network)
    if placebo.hook != feature.hook:
        raise ValueError(
            f"the placebo {placebo.origin} lies at {placebo.hook} and the feature at "
            f"{feature.hook}: give placebos at the feature's hook"
        )


def _untracking(
    acts: Float[np.ndarray, "n d"], labels: Integer[np.ndarray, " n"], limit: float
) -> Bool[np.ndarray, " d"]:
    """Whether the absolute correlation of each unit with the label is under the limit."""
    centred = acts.astype(np.float64) - acts.mean(axis=0, dtype=np.float64)
    truth = labels - labels.mean()
    covariances = truth @ centred
    spreads = np.sqrt((centred**2).sum(axis=0) * (truth**2).sum())
    return np.abs(covariances) < limit * spreads

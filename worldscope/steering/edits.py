"""Moving features while a network runs.

    clamp(α):  value ← mean + sign · α · sd
    add(α):    activations ← activations + sign · α · sd · write
    ablate:    value ← mean, whatever the text says

so that a positive strength always pushes towards the feature's label, and strengths of different
features are in the same unit: standard deviations over the symbols of training text.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from worldscope.features.feature import Feature
from worldscope.networks.hooked import HookedNetwork, HookPoint

Network = TypeVar("Network", bound=HookedNetwork)


@dataclass(frozen=True)
class Edit(ABC):
    """Something done to a feature at every step."""

    feature: Feature

    @abstractmethod
    def change(self, values: Float[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
        """How much to add to the feature's value, given what it is."""

    def __call__(
        self, acts: Float[Tensor, "batch time d"], hook: HookPoint
    ) -> Float[Tensor, "batch time d"]:
        """Applies the edit at every step; a recurrent network brings one step at a time."""
        read = torch.as_tensor(self.feature.read).to(acts)
        write = torch.as_tensor(self.feature.write).to(acts)
        return acts + self.change(acts @ read).unsqueeze(-1) * write


@dataclass(frozen=True)
class _Strong(Edit):
    """An edit that has a strength."""

    strength: float
    """In standard deviations; negative is away from the label."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise ValueError(f"strength is {self.strength}; it must be a finite number")


class Clamp(_Strong):
    """Holds a feature at its mean plus `strength` standard deviations towards its label."""

    def change(self, values: Float[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
        """See `Edit.change`."""
        return self.feature.mean + self.feature.push(self.strength) - values


class Add(_Strong):
    """Adds `strength` standard deviations to a feature, towards its label, at every step."""

    def change(self, values: Float[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
        """See `Edit.change`."""
        return torch.full_like(values, self.feature.push(self.strength))


class Ablate(Edit):
    """Holds a feature at its mean, so that it says nothing about the text."""

    def change(self, values: Float[Tensor, "batch time"]) -> Float[Tensor, "batch time"]:
        """See `Edit.change`."""
        return self.feature.mean - values


@contextmanager
def steer(network: Network, *edits: Edit) -> Iterator[Network]:
    """Edits a network inside a `with` block, at every step of whatever it reads or writes.

    Edits of one hook are applied in the order given.

    Raises:
        ValueError: If a feature belongs to another network, or no edit is given.
    """
    if not edits:
        raise ValueError("there is nothing to steer; give at least one of Clamp, Add and Ablate")
    for edit in edits:
        edit.feature.check_fits(network)
    with network.hooks([(edit.feature.hook, edit) for edit in edits]):
        yield network

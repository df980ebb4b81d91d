"""What k-sparse fits share, whatever they predict."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MOST_UNITS = 64
"""The largest k where none is given."""


@dataclass(frozen=True, eq=False)
class SparseFit:
    """A fit that reads k units."""

    units: Int[np.ndarray, " k"]
    """The units, best first."""
    strength: float
    """Of the penalty, that was chosen on dev."""
    strengths: tuple[float, ...]
    """Every one that was tried, in ascending order."""
    dev_scores: tuple[float, ...]
    """Score on dev at each of `strengths`."""

    @property
    def k(self) -> int:
        """Number of units that are read."""
        return len(self.units)


@dataclass(frozen=True)
class StandardUnits:
    """Units in float64 with mean 0 and standard deviation 1."""

    values: Float[np.ndarray, "n k"]
    mean: Float[np.ndarray, " k"]
    scale: Float[np.ndarray, " k"]
    """Standard deviation; 1 for a unit that does not move."""

    @classmethod
    def of(cls, acts: Float[np.ndarray, "n k"]) -> "StandardUnits":
        """The units by their own mean and deviation."""
        values = acts.astype(np.float64)
        mean = values.mean(axis=0)
        values -= mean
        scale = np.sqrt(np.square(values).mean(axis=0))
        still = scale <= 4 * np.finfo(np.float64).eps * np.abs(mean)  # only rounding is left
        values[:, still] = 0
        scale[still] = 1
        return cls(values / scale, mean, scale)

    def like_them(self, acts: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m k"]:
        """Other rows, by the mean and deviation of these."""
        return (acts - self.mean) / self.scale


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4 and so on, and the largest itself."""
    return [2**power for power in range(most.bit_length()) if 2**power < most] + [most]


def check_ks(ks: Sequence[int], units: int) -> None:
    """Accept numbers of units that there are.

    Raises:
        ValueError: Otherwise, naming the one that is wrong.
    """
    if len(ks) == 0:
        raise ValueError("There is no k: give at least one number of units.")
    for k in ks:
        if not 1 <= k <= units:
            raise ValueError(f"k is {k}: it must be between 1 and the {units} units.")


def check_penalties(strengths: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    """The strengths in ascending order.

    Raises:
        ValueError: If there are none, or one is not above 0.
    """
    ascending = tuple(sorted(float(strength) for strength in strengths))
    if not ascending or not 0 < ascending[0] <= ascending[-1] < np.inf:
        raise ValueError(f"The strengths are {ascending}: give at least one, all above 0.")
    return ascending


@contextmanager
def said_of(part: str) -> Iterator[None]:
    """Has an error say in which part of the data it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"In {part}: {error}") from None


def check_same_units(train_acts: np.ndarray, dev_acts: np.ndarray) -> None:
    """Accept two parts with as many units.

    Raises:
        ValueError: Otherwise.
    """
    if train_acts.shape[1] != dev_acts.shape[1]:
        raise ValueError(
            f"train has {train_acts.shape[1]} units and dev {dev_acts.shape[1]}: "
            "both must come from one hook."
        )


def check_width(acts: np.ndarray, units: int) -> None:
    """Accept activations of as many units as a fit was given.

    Raises:
        ValueError: Otherwise.
    """
    if acts.shape[1] != units:
        raise ValueError(
            f"Activations have {acts.shape[1]} units and the probe has {units}: "
            "give it activations of the hook that it was fitted on."
        )

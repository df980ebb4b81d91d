"""A feature: a place in a network and a direction there, with what it is claimed to mean."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from worldscope.features.statistics import Statistics
from worldscope.networks.hooked import HookedNetwork
from worldscope.runs.files import read_json, replacing, write_json


@dataclass(frozen=True, eq=False)
class Feature:
    """What is read at a hook, what moves it there, and its spread over text.

    A value is `acts @ read`; adding `amount * write` to the activations adds `amount` to it.
    """

    network: str
    """Digest of the network that it belongs to."""
    hook: str
    """Canonical hook name, read and written."""
    read: Float[np.ndarray, " d"] = field(repr=False)
    """Direction that is read."""
    write: Float[np.ndarray, " d"] = field(repr=False)
    """Direction that moves it; `read @ write` is 1."""
    mean: float
    """Mean value over all symbols of training text."""
    sd: float
    """Standard deviation of the value over all symbols of training text."""
    sign: int
    """+1 if larger values mean the label, −1 if smaller ones do."""
    label: str
    """What it is claimed to mean."""
    origin: str
    """How it was found, such as `unit 388`."""

    def __post_init__(self) -> None:
        if self.read.shape != self.write.shape or self.read.ndim != 1:
            raise ValueError(
                f"read is {self.read.shape} and write {self.write.shape}; both must be (d,)"
            )
        if not np.isclose(self.read @ self.write, 1.0, atol=1e-4):
            raise ValueError(f"read @ write is {self.read @ self.write:.4g}; it must be 1")
        if not np.isfinite(self.mean):
            raise ValueError(f"{self.origin} has mean {self.mean}; it must be a finite number")
        if not self.sd > 0:
            raise ValueError(
                f"{self.origin} has standard deviation {self.sd}; a constant cannot be steered"
            )
        if self.sign not in (1, -1):
            raise ValueError(f"sign is {self.sign}; it must be 1 or -1")

    def values(self, acts: Float[np.ndarray, "*rows d"]) -> Float[np.ndarray, "*rows"]:
        """The feature's value on activations of its hook.

        Raises:
            ValueError: If the activations have another width.
        """
        if acts.shape[-1] != len(self.read):
            raise ValueError(
                f"the activations are {acts.shape[-1]} wide; {self.origin} at {self.hook} reads "
                f"{len(self.read)}"
            )
        return acts @ self.read

    def push(self, strength: float) -> float:
        """What `strength` standard deviations towards the label add to the value."""
        return self.sign * strength * self.sd

    def flipped(self, label: str) -> "Feature":
        """The same place and direction with the opposite meaning."""
        return replace(self, sign=-self.sign, label=label)

    def check_fits(self, network: HookedNetwork) -> None:
        """Refuses a network that the feature was not found on.

        Raises:
            ValueError: If the feature belongs to another network.
        """
        if network.digest != self.network:
            raise ValueError(
                f"{self.origin} was found on network {self.network}, not on {network.digest}; "
                "find it again there"
            )

    def save(self, folder: str | Path) -> None:
        """Writes feature.json and directions.safetensors; neither is ever half-written."""
        described = asdict(self)
        directions = {name: described.pop(name) for name in ("read", "write")}
        with replacing(Path(folder) / "directions.safetensors") as file:
            save_file(directions, file)
        write_json(Path(folder) / "feature.json", described)


def load_feature(folder: str | Path) -> Feature:
    """A feature written by `Feature.save`.

    Raises:
        FileNotFoundError: If the folder holds none.
        ValueError: If its files are damaged.
    """
    folder = Path(folder)
    for name in ("feature.json", "directions.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no feature: {name} is missing")
    try:
        described = read_json(folder / "feature.json")
        directions = load_file(folder / "directions.safetensors")
        return Feature(read=directions["read"], write=directions["write"], **described)
    except (SafetensorError, json.JSONDecodeError, UnicodeError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} holds a damaged feature ({error}); save it again") from None


def unit_feature(
    network: HookedNetwork, statistics: Statistics, unit: int, *, sign: int = 1, label: str = ""
) -> Feature:
    """A single unit as a feature.

    Args:
        network: Whose unit it is.
        statistics: Of the unit's hook over training text.
        unit: Index of the unit.
        sign: +1 if larger values mean the label.
        label: What it is claimed to mean.

    Raises:
        IndexError: If there is no such unit.
        ValueError: If the unit is constant over the training text, or the statistics are of
            another network.
    """
    d = len(statistics.mean)
    if not 0 <= unit < d:
        raise IndexError(f"{statistics.hook} has units 0 to {d - 1}; there is no unit {unit}")
    axis = np.eye(1, d, unit)[0]
    feature = direction_feature(network, statistics, axis, label=label, origin=f"unit {unit}")
    return replace(feature, sign=sign)


def direction_feature(
    network: HookedNetwork,
    statistics: Statistics,
    direction: Float[np.ndarray, " d"],
    *,
    label: str = "",
    origin: str = "direction",
) -> Feature:
    """A direction as a feature: read and written along the same unit vector.

    Args:
        network: Whose activations it is a direction of.
        statistics: Of its hook over training text.
        direction: Where larger values mean the label; its length does not matter.
        label: What it is claimed to mean.
        origin: How it was found.

    Raises:
        ValueError: If the direction has another width than the hook, is zero or not finite, the
            activations are constant along it, or the statistics are of another network.
    """
    digest = network.digest
    if statistics.network != digest:
        raise ValueError(
            f"the statistics are of network {statistics.network}, not of {digest}; measure them on "
            "the network itself"
        )
    norm = float(np.linalg.norm(direction))
    if direction.shape != statistics.mean.shape or not 0 < norm < np.inf:
        raise ValueError(
            f"the direction has shape {direction.shape} and norm {norm:.3g}; {statistics.hook} "
            f"needs {statistics.mean.shape} and a norm above 0"
        )
    axis = (direction / norm).astype(np.float32)
    mean, sd = statistics.along(axis)
    return Feature(digest, statistics.hook, axis, axis, mean, sd, 1, label, origin)

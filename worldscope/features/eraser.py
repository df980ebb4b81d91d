"""An eraser: takes a state out of the activations of a hook, and leaves the rest as it can."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from worldscope.networks.hooked import HookedNetwork
from worldscope.runs.files import replacing

_FORMAT = "worldscope eraser 1"
_TENSORS = ("mean", "left", "right")
_NAMES = ("network", "hook", "state")


@dataclass(frozen=True, eq=False)
class Eraser:
    """x - P (x - mean), where P = left @ right has the rank of what is erased."""

    network: str
    """Digest of the network that it belongs to."""
    hook: str
    """Canonical hook name."""
    state: str
    """What is erased."""
    mean: Float[Tensor, " d"] = field(repr=False)
    """Mean activation, which stays as it is."""
    left: Float[Tensor, "d k"] = field(repr=False)
    """Directions along which activations are moved."""
    right: Float[Tensor, "_k d"] = field(repr=False)
    """Directions that tell how far; `right @ left` is 1."""

    def __post_init__(self) -> None:
        width, rank = self.left.shape
        if self.mean.shape != (width,) or self.right.shape != (rank, width):
            raise ValueError(
                f"mean is {tuple(self.mean.shape)}, left {tuple(self.left.shape)} and right "
                f"{tuple(self.right.shape)}; they must be (d,), (d, k) and (k, d)"
            )
        if not all(part.isfinite().all() for part in (self.mean, self.left, self.right)):
            raise ValueError(f"the eraser of {self.state} holds numbers that are not finite")

    @property
    def rank(self) -> int:
        """Number of directions that are taken out."""
        return self.left.shape[1]

    def __call__(self, acts: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
        """The activations without the state, of their own type and on their own device.

        Raises:
            ValueError: If the activations have another width.
        """
        if acts.shape[-1] != len(self.mean):
            raise ValueError(
                f"the activations are {acts.shape[-1]} wide; the eraser of {self.state} at "
                f"{self.hook} takes {len(self.mean)}"
            )
        wide = acts.to(torch.promote_types(acts.dtype, torch.float32))
        mean, left, right = (part.to(wide) for part in (self.mean, self.left, self.right))
        return (wide - (wide - mean) @ right.T @ left.T).to(acts.dtype)

    def check_fits(self, network: HookedNetwork) -> None:
        """Refuses a network that the eraser was not fitted on.

        Raises:
            ValueError: If the eraser belongs to another network.
        """
        if network.digest != self.network:
            raise ValueError(
                f"the eraser of {self.state} was fitted on network {self.network}, not on "
                f"{network.digest}; fit it again there"
            )

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file, whose header names network, hook and state."""
        tensors = {name: getattr(self, name).contiguous() for name in _TENSORS}
        named = json.dumps({name: getattr(self, name) for name in _NAMES})
        with replacing(Path(path)) as file:
            save_file(tensors, file, metadata={"format": _FORMAT, "eraser": named})


def load_eraser(path: str | Path) -> Eraser:
    """An eraser written by `Eraser.save`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else or is damaged.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is no file; give one that Eraser.save wrote")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ValueError(f"{path} holds a damaged eraser ({error}); save it again") from None
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path} holds no eraser but {header.get('format', 'other tensors')}; give a file that "
            "Eraser.save wrote"
        )
    try:
        return Eraser(**json.loads(header["eraser"]), **tensors)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds a damaged eraser ({error}); save it again") from None

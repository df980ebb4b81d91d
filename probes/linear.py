"""A fitted linear probe: a weight for each unit and a bias, to be applied, saved and loaded."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Integer
from safetensors import safe_open
from safetensors.numpy import save_file

_FORMAT = "worldscope linear probe 1"


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """Label 1 where acts @ weight + bias is above 0."""

    weight: Float[np.ndarray, " d"]
    """Weight of each unit, for activations as they are recorded."""
    bias: float
    """Log-odds of label 1 where every activation is 0."""
    strength: float
    """Inverse strength of the penalty, scikit-learn's C, that was chosen on dev."""
    strengths: tuple[float, ...]
    """Every C that was tried, in ascending order."""
    dev_scores: tuple[float, ...]
    """Accuracy on dev at each of `strengths`."""
    nonzeros: tuple[int, ...]
    """Units with a weight at each of `strengths`."""

    @property
    def n_nonzero(self) -> int:
        """Number of units with a weight."""
        return int(np.count_nonzero(self.weight))

    def scores(self, acts: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Log-odds of label 1 for each row.

        Raises:
            ValueError: If the activations have another width than those of the fit.
        """
        if acts.shape[1] != len(self.weight):
            raise ValueError(
                f"Activations have {acts.shape[1]} units and the probe has {len(self.weight)}: "
                "give it activations of the hook that it was fitted on."
            )
        return acts @ self.weight + acts.dtype.type(self.bias)

    def predict(self, acts: Float[np.ndarray, "n d"]) -> Int[np.ndarray, " n"]:
        """Label of each row, 0 or 1."""
        return (self.scores(acts) > 0).astype(np.int64)

    def accuracy(self, acts: Float[np.ndarray, "n d"], labels: Integer[np.ndarray, " n"]) -> float:
        """Share of rows whose label is predicted."""
        return float(np.mean(self.predict(acts) == labels))

    def save(self, path: Path) -> None:
        """Write one safetensors file: the weight, and the rest as JSON in its header."""
        rest = {
            "bias": self.bias,
            "strength": self.strength,
            "strengths": self.strengths,
            "dev_scores": self.dev_scores,
            "nonzeros": self.nonzeros,
        }
        metadata = {"format": _FORMAT, "probe": json.dumps(rest)}
        save_file({"weight": self.weight}, path, metadata=metadata)

    @classmethod
    def load(cls, path: Path) -> "LinearProbe":
        """Read what `save` wrote.

        Raises:
            ValueError: If the file holds something else.
        """
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ValueError(
                    f"{path} holds no linear probe but {metadata.get('format', 'other tensors')}: "
                    "give a file that LinearProbe.save wrote."
                )
            rest = json.loads(metadata["probe"])
            return cls(
                weight=file.get_tensor("weight"),
                bias=rest["bias"],
                strength=rest["strength"],
                strengths=tuple(rest["strengths"]),
                dev_scores=tuple(rest["dev_scores"]),
                nonzeros=tuple(rest["nonzeros"]),
            )

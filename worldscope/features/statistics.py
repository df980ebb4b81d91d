"""Mean and covariance of a hook's activations over every symbol of some texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from worldscope.activations.reading import stream_states
from worldscope.networks.language_model import LanguageModel


@dataclass(frozen=True)
class Statistics:
    """First and second moments at one hook."""

    network: str
    """Digest of the network that was measured."""
    hook: str
    """Canonical hook name."""
    count: int
    """Number of symbols."""
    mean: Float[np.ndarray, " d"]
    """Mean activation."""
    covariance: Float[np.ndarray, "d d"]
    """Covariance with denominator n."""

    @property
    def sd(self) -> Float[np.ndarray, " d"]:
        """Standard deviation of every unit."""
        return np.sqrt(np.diag(self.covariance).clip(min=0.0))

    def along(self, direction: Float[np.ndarray, " d"]) -> tuple[float, float]:
        """Mean and standard deviation of the projection on a direction."""
        direction = direction.astype(np.float64)
        variance = float(direction @ self.covariance @ direction)
        return float(self.mean @ direction), max(variance, 0.0) ** 0.5


def measure_statistics(
    network: LanguageModel, texts: Sequence[str], hook: str = "hook_c", *, progress: bool = False
) -> Statistics:
    """Reads texts once and accumulates the moments of one hook over all their symbols.

    Sums are float64. Activations are counted from those of the first symbol, so that the spread of
    a unit far from zero is not lost in the rounding of its square.

    Raises:
        ValueError: If there is no text, or one is empty.
        LookupError: If the hook is unknown.
    """
    name = network.hook_name(hook)
    width = network.hook_dict[name].width
    origin = None
    count, total, products = 0, torch.zeros(width).double(), torch.zeros(width, width).double()
    for part in stream_states(network, texts, [name], progress=progress):
        rows = part.acts[name][part.mask().to(network.device)].cpu()
        origin = rows[0] if origin is None else origin
        rows = rows - origin
        count += len(rows)
        total += rows.sum(dim=0, dtype=torch.float64)
        products += rows.T @ rows
    assert origin is not None  # stream_states refuses to read nothing
    mean = total / count
    covariance = products / count - torch.outer(mean, mean)
    return Statistics(
        network=network.digest,
        hook=name,
        count=count,
        mean=(mean + origin).numpy(),
        covariance=covariance.numpy(),
    )

"""Settings of a training, as the command line shows them."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainConfig:
    """How to train."""

    total_bytes: int = 100_000_000
    """Bytes of text to train on, passes over the text counted."""
    batch: int = 64
    """Number of streams."""
    chunk: int = 128
    """Symbols of each stream in a step: how far back the loss is traced."""
    lr: float = 2e-3
    """Peak learning rate of Adam."""
    warmup_steps: int = 100
    """Steps over which the rate rises from zero."""
    decay_fraction: float = 0.3
    """Last part of the training over which the rate falls to zero."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    seed: int = 0
    """Seed of the initial weights and of the order of the texts."""
    bf16: bool = True
    """Make matrix products in bfloat16 where the machine has it; master weights stay float32."""
    save_seconds: float = 300.0
    """Wall-clock time between checkpoints."""
    snapshots: tuple[float, ...] = ()
    """Megabytes of text after which a copy of the weights is kept under snapshots/."""

    def __post_init__(self) -> None:
        for name in ("total_bytes", "batch", "chunk", "lr", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be 0 or more")
        for megabytes in self.snapshots:
            if not 0 < megabytes < math.inf:
                raise ValueError(f"a snapshot is at {megabytes} MB; it must be above 0 and finite")
        if not 0 <= self.decay_fraction <= 1:
            raise ValueError(f"decay_fraction is {self.decay_fraction}; it must be from 0 to 1")

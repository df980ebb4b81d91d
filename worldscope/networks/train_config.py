"""Settings of a training, as the command line shows them."""

import math
from dataclasses import dataclass
from typing import Literal


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
    decay: Literal["linear", "cosine"] = "linear"
    """How it falls."""
    weight_decay: float = 0.0
    """Decoupled weight decay of matrices (Loshchilov & Hutter 2019)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Averaging of Adam's two moments."""
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
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay is {self.weight_decay}; it must be 0 or more")
        for beta in self.betas:
            if not 0 <= beta < 1:
                raise ValueError(f"betas are {self.betas}; each must be at least 0 and under 1")
        if not 0 <= self.decay_fraction <= 1:
            raise ValueError(f"decay_fraction is {self.decay_fraction}; it must be from 0 to 1")


TRANSFORMER = TrainConfig(
    batch=32,
    chunk=256,
    lr=1e-3,
    warmup_steps=200,
    decay_fraction=1.0,
    decay="cosine",
    weight_decay=0.1,
    betas=(0.9, 0.95),
)
"""How to train a transformer, where nothing else is asked for."""

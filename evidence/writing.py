"""Writing under an edit: the same prompts and seeds for every condition, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool

from evidence.bits import Bits, continuation_bits, text_bits
from evidence.calibration import CalibratedJudge
from evidence.diversity import distinct_n
from worldscope.networks.generation import Generation, Sampling, stream
from worldscope.networks.hooked import Edit
from worldscope.networks.mlstm import MLSTM

_ROWS = 256  # generated together
Hooked = tuple[str, Edit]
"""A hook name and what is done there."""


@dataclass(frozen=True)
class WritingConfig:
    """How every condition writes."""

    samples_per_prompt: int = 10
    """Continuations of each prompt; prompts × samples should be 200 at the least."""
    max_new: int = 200
    """Symbols of each continuation."""
    temperature: float = 1.0
    """Divides the logits."""
    first_seed: int = 0
    """Seed of the first sample; every sample has the next one."""

    def __post_init__(self) -> None:
        for name in ("samples_per_prompt", "max_new"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")


@dataclass(frozen=True, eq=False)
class Condition:
    """What is done to the network, in words."""

    kind: str
    """unsteered, feature, placebo equal norm or placebo equal sd."""
    placebo: str = ""
    """Which placebo, by its origin."""
    strength: float = float("nan")
    """In sd; NaN if nothing is steered."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a condition wrote, row by row of the design, and what it cost."""

    condition: Condition
    generations: list[Generation] = field(repr=False)
    judged: dict[str, Bool[np.ndarray, " n"]] = field(repr=False)
    """Whether each continuation counts as praise, by judge."""
    written: Bits = field(repr=False)
    """Bits for each continuation under the unsteered network."""
    read: Bits = field(repr=False)
    """Bits for each real text under the condition."""
    distinct: tuple[float, float, float]
    """Distinct-1, -2 and -3 of the continuations."""


@dataclass(frozen=True, eq=False)
class Design:
    """Everything that the conditions of a paired comparison share."""

    network: MLSTM = field(repr=False)
    judges: Sequence[CalibratedJudge]
    prompts: Sequence[str]
    texts: Sequence[str] = field(repr=False)
    """Real held-out text."""
    config: WritingConfig

    @property
    def rows(self) -> list[tuple[str, int]]:
        """Prompt and seed of each generation."""
        prompts = [prompt for prompt in self.prompts for _ in range(self.config.samples_per_prompt)]
        return [(prompt, self.config.first_seed + row) for row, prompt in enumerate(prompts)]

    @property
    def groups(self) -> list[str]:
        """Prompt of each generation: what is resampled."""
        return [prompt for prompt, _ in self.rows]

    def run(
        self, condition: Condition, writing: Sequence[Hooked] = (), reading: Sequence[Hooked] = ()
    ) -> Outcome:
        """Writes and reads under a condition, then judges and counts bits without it.

        Args:
            condition: What the edits are.
            writing: Edits while the network writes.
            reading: The same for the real text: an edit that keeps or replays a record needs one
                for each.
        """
        with self.network.hooks(writing):
            generations = self.write()
        with self.network.hooks(reading):
            read = text_bits(self.network, self.texts)
        continuations = [generation.continuation for generation in generations]
        one, two, three = (distinct_n(continuations, n) for n in (1, 2, 3))
        return Outcome(
            condition=condition,
            generations=generations,
            judged={judge.name: judge.positive(continuations) for judge in self.judges},
            written=continuation_bits(self.network, generations),
            read=read,
            distinct=(one, two, three),
        )

    def write(self) -> list[Generation]:
        """Continues every prompt, with whatever edits are in place."""
        blocks = [self.rows[start : start + _ROWS] for start in range(0, len(self.rows), _ROWS)]
        return [generation for block in blocks for generation in self._write_block(block)]

    def _write_block(self, rows: Sequence[tuple[str, int]]) -> list[Generation]:
        prompts, seeds = [prompt for prompt, _ in rows], [seed for _, seed in rows]
        sampling = Sampling(self.config.temperature)
        steps = list(stream(self.network, prompts, seeds, self.config.max_new, sampling))
        return [
            Generation(prompt, self.network.decode(symbols), seed, tuple(symbols))
            for (prompt, seed), symbols in zip(rows, torch.stack(steps, 1).tolist(), strict=True)
        ]


def typical_length(network: MLSTM, prompts: Sequence[str], config: WritingConfig) -> int:
    """Median characters of unsteered continuations: the length to calibrate judges at."""
    generations = Design(network, [], prompts, [], config).write()
    return int(np.median([len(generation.continuation) for generation in generations]))

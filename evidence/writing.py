"""Writing under edits: the same prompts and seeds for every condition, and what it cost.

Conditions are written and read side by side in one batch: matrix products of many rows are several
times as fast as many products of few.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
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
from worldscope.steering.side_by_side import SideBySide

_ARMS, _ROWS, _TEXTS = 20, 40, 20
"""Conditions side by side, and prompts with their seeds, or texts, for each."""
_CHUNK = 8
"""Steps of text read together: a record needs the same for any number of arms."""


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
class Arm:
    """A condition and the edits that make it: one while the network writes, one while it reads.

    They are two because an edit that keeps or replays a record needs one for each.
    """

    condition: Condition
    writing: Edit | None = None
    reading: Edit | None = None


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

    def run(self, arms: Sequence[Arm], hook: str) -> Iterator[Outcome]:
        """Writes and reads under every condition, then judges and counts bits without it.

        Args:
            arms: The conditions; an edit that replays a record does so in the batches of any run.
            hook: Where all of them edit.
        """
        for start in range(0, len(arms), _ARMS):
            together = arms[start : start + _ARMS]
            written = self._write(hook, [arm.writing for arm in together])
            read = self._read(hook, [arm.reading for arm in together])
            for arm, generations, bits in zip(together, written, read, strict=True):
                yield self._outcome(arm.condition, generations, bits)

    def write(self) -> list[Generation]:
        """Continues every prompt, with whatever edits are in place."""
        return [generation for (generation,) in self._rows_written(1)]

    def _write(self, hook: str, edits: Sequence[Edit | None]) -> Iterator[tuple[Generation, ...]]:
        """What each edit makes of every prompt."""
        with self._edited(hook, edits):
            rows = self._rows_written(len(edits))
        return zip(*rows, strict=True)

    def _rows_written(self, times: int) -> list[list[Generation]]:
        """Every prompt continued `times` times side by side."""
        rows = self.rows
        blocks = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
        return [written for block in blocks for written in self._block_written(block, times)]

    def _block_written(self, rows: list[tuple[str, int]], times: int) -> list[list[Generation]]:
        repeated = [row for row in rows for _ in range(times)]
        prompts, seeds = zip(*repeated, strict=True)
        sampling = Sampling(self.config.temperature)
        steps = list(stream(self.network, prompts, seeds, self.config.max_new, sampling))
        written = [
            Generation(prompt, self.network.decode(symbols), seed, tuple(symbols))
            for (prompt, seed), symbols in zip(
                repeated, torch.stack(steps, 1).tolist(), strict=True
            )
        ]
        return [written[start : start + times] for start in range(0, len(written), times)]

    def _read(self, hook: str, edits: Sequence[Edit | None]) -> list[Bits]:
        """Bits for the real text under each edit."""
        times = len(edits)
        repeated = [text for text in self.texts for _ in edits]
        with self._edited(hook, edits):
            bits = text_bits(self.network, repeated, batch=_TEXTS * times, chunk=_CHUNK)
        rows = np.arange(len(self.texts)) * times
        return [bits.of(rows + arm) for arm in range(times)]

    def _edited(self, hook: str, edits: Sequence[Edit | None]) -> AbstractContextManager:
        edited = any(edit is not None for edit in edits)
        return self.network.hooks([(hook, SideBySide(edits))] if edited else [])

    def _outcome(
        self, condition: Condition, generations: Sequence[Generation], read: Bits
    ) -> Outcome:
        continuations = [generation.continuation for generation in generations]
        one, two, three = (distinct_n(continuations, n) for n in (1, 2, 3))
        return Outcome(
            condition=condition,
            generations=list(generations),
            judged={judge.name: judge.positive(continuations) for judge in self.judges},
            written=continuation_bits(self.network, generations),
            read=read,
            distinct=(one, two, three),
        )


def typical_length(network: MLSTM, prompts: Sequence[str], config: WritingConfig) -> int:
    """Median characters of unsteered continuations: the length to calibrate judges at."""
    generations = Design(network, [], prompts, [], config).write()
    return int(np.median([len(generation.continuation) for generation in generations]))

"""What steering a feature does to the text that a network writes, beside placebos, and its cost.

Every condition continues the same prompts with the same seeds, so that shifts are paired:

    1. unsteered;
    2. the feature at every strength, with ‖Δx‖ of every row and step recorded;
    3. strengths fixed by cost on half of the prompts (`evidence.verdict`);
    4. every placebo at those strengths, at equal norm and at equal sd.

Only continuations are judged, never a prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from evidence.calibration import CalibratedJudge
from evidence.placebos import EQUAL_NORM, EQUAL_SD, Recorder, Replay, check_comparable
from evidence.shares import effects, effects_table
from evidence.verdict import Reporting, choose_sides, halve_prompts, verdict_table
from evidence.writing import Arm, Condition, Design, Outcome, WritingConfig
from worldscope.features.feature import Feature
from worldscope.networks.mlstm import MLSTM
from worldscope.steering.edits import Add, Clamp


@dataclass(frozen=True)
class SteeringConfig:
    """How a feature is steered and judged."""

    strengths: tuple[float, ...] = (-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0)
    """In sd of the feature; positive pushes towards its label."""
    placebo_strengths: tuple[float, ...] = ()
    """Strengths at which placebos write too, besides the two of the verdict."""
    budget: float = 0.15
    """Largest cost of a verdict's strengths, in bits per byte of the continuations."""
    seed: int = 0
    """Seed of the halves and of the intervals."""
    writing: WritingConfig = field(default_factory=WritingConfig)
    """How every condition writes."""
    placebo_samples: int | None = None
    """Continuations of each prompt by each placebo; as many as by the feature if None."""

    def __post_init__(self) -> None:
        if not self.strengths or len(set(self.strengths)) < len(self.strengths):
            raise ValueError(f"the strengths are {self.strengths}; give some, each once")
        for strength in self.placebo_strengths:
            if strength not in self.strengths or strength == 0:
                raise ValueError(
                    f"placebos cannot be steered at {strength:g}: "
                    f"choose among the strengths {self.strengths}, without 0"
                )


@dataclass(frozen=True, eq=False)
class SteeringResult:
    """Tidy tables; the columns of the first two are the fields of `evidence.shares.Effect`."""

    table: pd.DataFrame
    """A row for each condition and judge, every placebo by itself."""
    placebo_means: pd.DataFrame
    """A row for each kind of placebo, strength and judge: the mean over placebos."""
    verdict: pd.DataFrame
    """A row for each judge and kind: the fields of `evidence.verdict.Verdict`."""
    generations: list[dict]
    """feature, kind, placebo, strength (None: unsteered), prompt, seed, text (the continuation)."""


def measure_steering(
    network: MLSTM,
    feature: Feature,
    judges: Sequence[CalibratedJudge],
    prompts: Sequence[str],
    texts: Sequence[str],
    placebos: Sequence[Feature],
    *,
    config: SteeringConfig | None = None,
    edit: type[Clamp] | type[Add] = Clamp,
    progress: bool = False,
) -> SteeringResult:
    """Steers, judges and prices a feature beside placebos.

    Args:
        network: What is steered.
        feature: What is moved.
        judges: Calibrated at the length of the continuations; see `writing.typical_length`.
        prompts: Four or more, all different: half choose the strengths, half report.
        texts: Real held-out text, read under every condition for its cost.
        placebos: Features at the same hook; `placebos.COUNT` or more for a claim.
        config: Strengths, budget and how much is written.
        edit: How the feature is moved.
        progress: Show a progress bar.

    Raises:
        ValueError: If a feature belongs to another network, a placebo lies at another hook, two
            placebos have one origin, there are fewer than four different prompts, or two judges
            have one name or there is none.
    """
    config = config or SteeringConfig()
    _check(network, feature, judges, prompts, placebos)
    design = Design(network, judges, prompts, texts, config.writing)
    fewer = design
    if config.placebo_samples not in (None, config.writing.samples_per_prompt):
        samples = config.placebo_samples
        fewer = replace(design, config=replace(config.writing, samples_per_prompt=samples))
    total = 1 + len(config.strengths)
    with tqdm(desc=f"steering {feature.origin}", total=total, disable=not progress) as bar:

        def run(design: Design, arms: Sequence[Arm]) -> list[Outcome]:
            outcomes = []
            for outcome in design.run(arms, feature.hook):
                outcomes.append(outcome)
                bar.update()
            return outcomes

        def steer(design: Design, strengths: Sequence[float]) -> _Steered:
            recorders = {s: [Recorder(edit(feature, s)) for _ in range(2)] for s in strengths}
            arms = [Arm(Condition("feature", "", s), *recorders[s]) for s in strengths]
            plain, *steered = run(design, [Arm(Condition("unsteered")), *arms])
            return _Steered(plain, dict(zip(strengths, steered, strict=True)), recorders)

        full = steer(design, config.strengths)
        choosing, reporting = halve_prompts(design, seed=config.seed)
        sides = choose_sides(full.outcomes, full.plain, choosing, budget=config.budget)
        at = sorted({*sides.strengths, *config.placebo_strengths})
        bar.total += (fewer is not design) * (1 + len(at)) + 2 * len(at) * len(placebos)
        same = full if fewer is design else steer(fewer, at)
        arms = [
            [arm(placebo, s) for placebo in placebos]
            for s in at
            for arm in (partial(_as_far, same.recorders), partial(_as_strong, edit))
        ]
        outcomes = iter(run(fewer, [arm for alike in arms for arm in alike]))
        compared = [list(islice(outcomes, len(alike))) for alike in arms]
    each = [outcome for outcomes in compared for outcome in outcomes]
    every = [full.plain, *full.outcomes.values()]
    name, seed = feature.origin, config.seed
    report = Reporting(name, sides, full.plain, design, reporting, seed)
    rows = halve_prompts(fewer, seed=seed)[1]
    beside = Reporting(name, sides, same.plain, fewer, rows, seed)
    tables = (
        _table(name, [[outcome] for outcome in every], full.plain, design, seed),
        _table(name, [[outcome] for outcome in each], same.plain, fewer, seed),
    )
    return SteeringResult(
        table=pd.concat([table for table in tables if len(table)], ignore_index=True),
        placebo_means=_table(name, list(filter(None, compared)), same.plain, fewer, seed),
        verdict=verdict_table(
            [*report.of_feature(full.outcomes), *beside.of_placebos(same.outcomes, each)]
        ),
        generations=[row for outcome in (*every, *each) for row in _generations(name, outcome)],
    )


class _Steered(NamedTuple):
    """The feature itself, with what placebos need to follow it."""

    plain: Outcome
    outcomes: dict[float, Outcome]
    recorders: dict[float, list[Recorder]]
    """For each strength one of the writing and one of the reading."""


def _as_far(
    recorders: Mapping[float, Sequence[Recorder]], placebo: Feature, strength: float
) -> Arm:
    """Moves a placebo as far as the feature on the same row and step, by the strength's sign."""
    direction, sign = placebo.sign * placebo.write, float(np.sign(strength))
    replays = (Replay(direction, recorder.norms, sign) for recorder in recorders[strength])
    return Arm(Condition(EQUAL_NORM, placebo.origin, strength), *replays)


def _as_strong(edit: type[Clamp] | type[Add], placebo: Feature, strength: float) -> Arm:
    """Moves a placebo by as many of its own standard deviations."""
    edits = (edit(placebo, strength) for _ in range(2))
    return Arm(Condition(EQUAL_SD, placebo.origin, strength), *edits)


def _table(
    name: str, outcomes: list[list[Outcome]], plain: Outcome, design: Design, seed: int
) -> pd.DataFrame:
    rows = [effects(name, alike, plain, design, seed=seed) for alike in outcomes]
    return effects_table([effect for of_one in rows for effect in of_one])


def _generations(name: str, outcome: Outcome) -> Iterator[dict]:
    of = outcome.condition
    for generation in outcome.generations:
        yield {
            "feature": name,
            "kind": of.kind,
            "placebo": of.placebo,
            "strength": None if np.isnan(of.strength) else of.strength,
            "prompt": generation.prompt,
            "seed": generation.seed,
            "text": generation.continuation,
        }


def _check(
    network: MLSTM,
    feature: Feature,
    judges: Sequence[CalibratedJudge],
    prompts: Sequence[str],
    placebos: Sequence[Feature],
) -> None:
    for placebo in (feature, *placebos):
        check_comparable(network, feature, placebo)
    origins = [placebo.origin for placebo in placebos]
    if twice := [origin for origin in dict.fromkeys(origins) if origins.count(origin) > 1]:
        raise ValueError(
            f"{origins.count(twice[0])} placebos are called {twice[0]}: "
            "give each an origin of its own, or they would count as one"
        )
    names = [judge.name for judge in judges]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"the judges are {names}; give one or more, each with its own name")
    if len(prompts) < 4 or len(set(prompts)) < len(prompts):
        raise ValueError(
            f"there are {len(set(prompts))} different prompts among {len(prompts)}: give four or "
            "more, each once, so that half can choose the strengths and half report"
        )

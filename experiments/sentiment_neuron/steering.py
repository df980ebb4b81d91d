"""Steering by the best unit and by the probe's direction, judged by what never read the network."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from evidence.ablation import measure_ablation
from evidence.calibration import CalibratedJudge, calibrate
from evidence.judges import LexiconJudge, TfidfJudge
from evidence.lexicons import load_opinion_lexicon
from evidence.placebos import TooFewUnits, placebo_directions, placebo_units
from evidence.steering_effect import SteeringConfig, measure_steering
from evidence.writing import WritingConfig
from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.decoding import Decoded, Site
from experiments.sentiment_neuron.parts import LabelledTexts, draw
from worldscope.features.feature import Feature, direction_feature, unit_feature
from worldscope.features.statistics import Statistics
from worldscope.networks.mlstm import MLSTM
from worldscope.runs import Run

PROMPTS = (
    "I thought the film",
    "This movie",
    "The acting in this picture",
    "When I first heard about it, I",
    "The director",
    "My wife and I watched this one on a Sunday, and",
    "The story begins in a small town where",
    "The script",
    "I have seen most of the films by this studio, and this",
    "The camera work",
    "As for the music, it",
    "The main character is",
    "In the second half the plot",
    "The ending",
    "For a film of its time, it",
    "The special effects",
    "I saw it with a group of friends who",
    "Compared with the book, the film",
    "The dialogue",
    "After two hours in the theater, I",
)
"""Openings of reviews that do not say yet what the writer thinks."""
TEXTS_FOR_COST = 20
"""Real held-out texts that are read while the network is steered."""


def steer_both(
    run: Run, network: MLSTM, statistics: Statistics, chosen: Decoded, config: StudyConfig
) -> None:
    """Steers the unit and the direction; writes the tables `steering*` and the generations.

    Nothing is steered if no judge is worth anything at the generated length.
    """
    site = chosen.site
    length = config.generated_bytes
    judges, refused = make_judges(site, config.data, length=length, seed=config.seed)
    run.examples("refused_judges", [{"reason": reason} for reason in refused])
    if not judges:
        return
    run.table("judges", _judges_table(judges))
    real = held_out_texts(site, TEXTS_FOR_COST, seed=config.seed)
    texts = [text[: 4 * length] for text in real.texts]
    settings = _settings(network, texts, config)
    tables, means, verdicts, generations, ablations = [], [], [], [], []
    for feature, placebos in features_to_steer(network, statistics, chosen, config):
        feature.save(run.path / "features" / feature.origin.replace(" ", "-"))
        prompts = PROMPTS[: config.prompts]
        result = measure_steering(
            network, feature, judges, prompts, texts, placebos, config=settings, progress=True
        )
        tables.append(result.table)
        means.append(result.placebo_means)
        verdicts.append(result.verdict)
        generations += result.generations
        ablations.append(_ablate(network, feature, placebos, chosen, config))
    run.table("steering", pd.concat(tables, ignore_index=True))
    run.table("steering_placebos", pd.concat(means, ignore_index=True))
    run.table("steering_verdict", pd.concat(verdicts, ignore_index=True))
    run.table("ablation", pd.concat(ablations, ignore_index=True))
    run.examples("generations", generations)


def _ablate(
    network: MLSTM,
    feature: Feature,
    placebos: list[Feature],
    chosen: Decoded,
    config: StudyConfig,
) -> pd.DataFrame:
    """What the network and the L1 probe lose when the feature is held at its mean."""
    site = chosen.site
    texts = held_out_texts(site, config.ablation_texts, seed=config.seed)
    return measure_ablation(
        network,
        feature,
        texts.texts,
        texts.labels,
        texts.groups.tolist(),
        chosen.probe.predict,
        hook=site.hook,
        position=site.position,
        placebos=placebos[: config.ablation_placebos],
        seed=config.seed,
        progress=True,
    )


def make_judges(
    site: Site, data: str | None, *, length: int, seed: int
) -> tuple[list[CalibratedJudge], list[str]]:
    """TF-IDF, fitted on train text, and the opinion lexicon, calibrated on dev and test text.

    Returns:
        The judges that tell real praise from real blame at this length, and why others do not.
    """
    fit = site.texts.take(site.parts["train"])
    real = site.texts.take(np.concatenate([site.parts["dev"], site.parts["test"]]))
    lexicon = load_opinion_lexicon(None if data is None else Path(data))
    usable, refused = [], []
    for judge in (TfidfJudge.fit(fit.texts, fit.labels), LexiconJudge(lexicon)):
        try:
            usable.append(
                calibrate(
                    judge, real.texts, real.labels, real.groups.tolist(), length=length, seed=seed
                )
            )
        except ValueError as error:
            refused.append(str(error))
    return usable, refused


def features_to_steer(
    network: MLSTM, statistics: Statistics, chosen: Decoded, config: StudyConfig
) -> Iterator[tuple[Feature, list[Feature]]]:
    """The unit, and the probe's direction if the probe has one, each with placebos of its kind.

    Where too few units do not track the label, the unit's placebos are directions too.
    """
    site, label, many = chosen.site, "positive review", config.placebos
    sign = int(chosen.ranking.sign[chosen.unit])
    states = {(site.hook, site.position): site.of("train")[0]}
    directions = placebo_directions(network, statistics, count=many, seed=config.seed)
    try:
        units = placebo_units(
            network, statistics, states, site.of("train")[1], count=many, seed=config.seed
        )
    except TooFewUnits:
        units = directions
    yield unit_feature(network, statistics, chosen.unit, sign=sign, label=label), units
    if chosen.probe.n_nonzero:
        direction = direction_feature(
            network, statistics, chosen.probe.weight, label=label, origin="probe direction"
        )
        yield direction, directions


def _settings(network: MLSTM, texts: Sequence[str], config: StudyConfig) -> SteeringConfig:
    symbols = sum(len(network.encode(text)) for text in texts)
    per_symbol = sum(len(text.encode()) for text in texts) / symbols
    writing = WritingConfig(
        samples_per_prompt=config.samples_per_prompt,
        max_new=max(1, round(config.generated_bytes / per_symbol)),
    )
    strengths = tuple(strength for strength in config.strengths if strength != 0)
    return SteeringConfig(
        strengths=strengths,
        seed=config.seed,
        writing=writing,
        placebo_samples=min(config.placebo_samples, config.samples_per_prompt),
    )


def held_out_texts(site: Site, count: int, *, seed: int) -> LabelledTexts:
    """Some test texts, drawn at random: a data set may hold one class first, then the other."""
    return draw(site.texts.take(site.parts["test"]), count, seed)


def _judges_table(judges: Sequence[CalibratedJudge]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "judge": judge.name,
                "value": judge.accuracy.value,
                "low": judge.accuracy.low,
                "high": judge.accuracy.high,
                "n": judge.n,
                "true_positive_rate": judge.true_positive_rate,
                "false_positive_rate": judge.false_positive_rate,
                "separation": judge.separation,
                "characters": judge.length,
                "mean_characters": judge.mean_length,
            }
            for judge in judges
        ]
    )


def first_seeds(generations: Sequence[dict], strength: float | None, feature: str) -> list[str]:
    """The continuations of the first ten seeds, unselected, at one strength."""
    rows = [
        row
        for row in generations
        if row["feature"] == feature
        and row["kind"] in ("feature", "unsteered")
        and (row["strength"] == strength or (strength is None and row["kind"] == "unsteered"))
    ]
    rows.sort(key=lambda row: row["seed"])
    return [f"{row['prompt']}▸{row['text']}" for row in rows[:10]]


def strengths_of(generations: Sequence[dict]) -> list[float]:
    """Strengths at which the feature itself was steered."""
    return sorted({row["strength"] for row in generations if row["kind"] == "feature"})

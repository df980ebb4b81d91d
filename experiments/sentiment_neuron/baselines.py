"""The rows that stand beside every score: untrained networks and the raw text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from evidence.baselines import States, random_init_baseline
from evidence.judges import LexiconJudge
from evidence.lexicons import load_opinion_lexicon
from evidence.raw_input import Ngrams, fit_raw_input
from experiments.sentiment_neuron.decoding import Rows, Site, predictions
from experiments.sentiment_neuron.parts import LabelledTexts
from probes.ranking import rank_units
from worldscope.measures import Measurement, mean_interval
from worldscope.networks.mlstm import MLSTM

METHODS = ("best unit", "L1 probe")
_QUESTION = "is sentiment decodable?"


def random_networks(
    network: MLSTM, sites: Sequence[Site], *, count: int, seed: int
) -> Iterator[Measurement]:
    """Untrained networks through the same reading and selection: mean and maximum."""
    texts, parts = sites[0].texts, sites[0].parts

    def score(states: States, labels: Integer[np.ndarray, " n"]) -> Mapping[str, float]:
        untrained = [Site(texts, parts, *place, acts) for place, acts in states.items()]
        return {key: value for site in untrained for key, value in _test_accuracies(site).items()}

    baseline = random_init_baseline(
        network,
        texts.texts,
        texts.labels,
        score,
        hooks=list(dict.fromkeys(site.hook for site in sites)),
        seeds=range(seed, seed + count),
        progress=True,
    )
    for site in sites:
        for method in METHODS:
            metric = f"{method} {site.hook} {site.position}"
            values = {"mean": baseline.mean(metric), "max": baseline.maximum(metric)}
            for name, value in values.items():
                yield Measurement(
                    question=_QUESTION,
                    network="untrained",
                    data=texts.name,
                    split="test",
                    hook=site.hook,
                    position=site.position,
                    method=f"{method}, random-init baseline, {name} of {count}",
                    metric="accuracy",
                    value=value,
                    n=len(parts["test"]),
                    seed=seed,
                )


def raw_input(
    texts: LabelledTexts, parts: Mapping[str, Rows], *, data: str | None, seed: int
) -> Iterator[Measurement]:
    """Linear models of the text and an opinion lexicon: what is known without the network."""
    train, dev, test = (texts.take(parts[part]) for part in ("train", "dev", "test"))
    predictions = {"opinion lexicon": _by_lexicon(train, test, data)}
    analysers: tuple[Ngrams, ...] = ("bytes", "words")
    for ngrams in analysers:
        model = fit_raw_input(train.texts, train.labels, dev.texts, dev.labels, ngrams=ngrams)
        note = f"TF-IDF, logistic regression, C = {model.strength:g} chosen on dev"
        predictions[f"{ngrams[:-1]} n-grams"] = (model.predict(test.texts), note)
    for name, (predicted, note) in predictions.items():
        right = (predicted == test.labels).astype(float)
        accuracy = mean_interval(right, test.groups, seed=seed)
        yield Measurement(
            question=_QUESTION,
            network="none",
            data=texts.name,
            split="test",
            method=f"{name}, raw-input baseline",
            metric="accuracy",
            value=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            n=accuracy.n,
            groups=accuracy.groups,
            seed=seed,
            note=note,
        )


def _by_lexicon(
    train: LabelledTexts, test: LabelledTexts, data: str | None
) -> tuple[Integer[np.ndarray, " m"], str]:
    """Predictions by the share of opinion words, with the threshold that is best on train."""
    judge = LexiconJudge(load_opinion_lexicon(None if data is None else Path(data)))
    ranking = rank_units(judge.score(train.texts)[:, None], train.labels)
    threshold = ranking.threshold[0]
    return ranking.predict(judge.score(test.texts), 0), f"{judge.name}, threshold {threshold:.3f}"


def _test_accuracies(site: Site) -> dict[str, float]:
    truth = site.of("test")[1]
    return {
        f"{method} {site.hook} {site.position}": float(np.mean(rows == truth))
        for method, rows in predictions(site).items()
    }

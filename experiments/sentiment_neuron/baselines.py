"""The rows that stand beside every score: untrained networks and the raw text."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Integer

from evidence.baselines import States, random_init_baseline
from evidence.raw_input import Ngrams, fit_raw_input
from experiments.sentiment_neuron.decoding import Rows, Site, best_unit, l1_probe
from experiments.sentiment_neuron.parts import LabelledTexts
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
    texts: LabelledTexts, parts: Mapping[str, Rows], *, seed: int
) -> Iterator[Measurement]:
    """Linear models of the text itself: what could be known without the network."""
    train, dev, test = (texts.take(parts[part]) for part in ("train", "dev", "test"))
    analysers: tuple[Ngrams, ...] = ("bytes", "words")
    for ngrams in analysers:
        model = fit_raw_input(train.texts, train.labels, dev.texts, dev.labels, ngrams=ngrams)
        right = (model.predict(test.texts) == test.labels).astype(float)
        accuracy = mean_interval(right, test.groups, seed=seed)
        yield Measurement(
            question=_QUESTION,
            network="none",
            data=texts.name,
            split="test",
            method=f"{ngrams[:-1]} n-grams, raw-input baseline",
            metric="accuracy",
            value=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            n=accuracy.n,
            groups=accuracy.groups,
            seed=seed,
            note=f"TF-IDF, logistic regression, C = {model.strength:g} chosen on dev",
        )


def _test_accuracies(site: Site) -> dict[str, float]:
    truth = site.of("test")[1]
    predicted = {"best unit": best_unit(site)[2], "L1 probe": l1_probe(site)[1]}
    return {
        f"{method} {site.hook} {site.position}": float(np.mean(rows == truth))
        for method, rows in predicted.items()
    }

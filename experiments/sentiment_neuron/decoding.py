"""Reading sentiment from states: one unit, k units, an L1 probe, each beside its baselines.

Everything is fitted on the training part, chosen on dev and reported once on test.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Integer

from experiments.sentiment_neuron.parts import LabelledTexts
from probes.best_of_many import max_null
from probes.ksparse import SparseProbe, ksparse_curve, participation_ratio
from probes.labels import LabelPoint, label_curve
from probes.linear import LinearProbe
from probes.logistic import fit_l1_path, fit_l1_path_many
from probes.ranking import UnitRanking, rank_units
from worldscope.measures import (
    Interval,
    Measurement,
    label_permutations,
    mean_interval,
    permutation_p_value,
)

SHUFFLES = 20
"""Shuffled labelings that an L1 probe is fitted to."""

Rows = Integer[np.ndarray, " m"]


@dataclass(frozen=True, eq=False)
class Site:
    """States of one data set at one hook and position, with their labels and parts."""

    texts: LabelledTexts
    parts: Mapping[str, Rows]
    hook: str
    position: str
    acts: Float[np.ndarray, "n d"] = field(repr=False)

    def of(self, part: str) -> tuple[Float[np.ndarray, "m d"], Integer[np.ndarray, " m"]]:
        """Activations and labels of a part."""
        rows = self.parts[part]
        return self.acts[rows], self.texts.labels[rows]

    def groups(self, part: str) -> np.ndarray:
        """Groups of a part."""
        return self.texts.groups[self.parts[part]]

    def interval(self, predicted: Integer[np.ndarray, " m"], *, seed: int) -> Interval:
        """Accuracy on test."""
        right = (predicted == self.of("test")[1]).astype(float)
        return mean_interval(right, self.groups("test"), seed=seed)


@dataclass(frozen=True, eq=False)
class Decoded:
    """What was read at one site."""

    site: Site
    ranking: UnitRanking
    unit: int
    """The unit with the best threshold on train."""
    probe: LinearProbe
    ksparse: tuple[SparseProbe, ...]
    labels: tuple[LabelPoint, ...]
    """Accuracy against the number of labels; only at the hook that decides."""
    null: Float[np.ndarray, " permutations"]
    """Train accuracy of the best of all units on shuffled labels."""
    unit_accuracy: Interval
    probe_accuracy: Interval
    ksparse_accuracy: dict[int, Interval]
    shuffled_probe: Float[np.ndarray, " shuffles"]
    """Test accuracy of L1 probes that were fitted to shuffled labels, C chosen by true ones."""
    participation: float | None
    """In how many units the probe's variance lies; None if it gives no unit a weight."""

    @property
    def p_value(self) -> float:
        """Chance of a best unit as good as this one if labels meant nothing."""
        return permutation_p_value(float(self.ranking.accuracy[self.unit]), self.null)


def best_unit(site: Site) -> tuple[UnitRanking, int, Integer[np.ndarray, " m"]]:
    """Ranks units on train; the best one's predictions on test."""
    ranking = rank_units(*site.of("train"))
    unit = ranking.best("accuracy")
    return ranking, unit, ranking.predict(site.of("test")[0][:, unit], unit)


def l1_probe(site: Site) -> tuple[LinearProbe, Integer[np.ndarray, " m"]]:
    """Fits an L1 probe on train with C chosen on dev; its predictions on test."""
    probe = fit_l1_path(*site.of("train"), *site.of("dev"))
    return probe, probe.predict(site.of("test")[0])


def predictions(site: Site) -> dict[str, Integer[np.ndarray, " m"]]:
    """Predictions on test of what is selected on train and dev, by method."""
    return {"best unit": best_unit(site)[2], "L1 probe": l1_probe(site)[1]}


def decode(site: Site, *, permutations: int, label_seeds: int, seed: int) -> Decoded:
    """Everything that is read at a site."""
    ranking, unit, by_unit = best_unit(site)
    probe, by_probe = l1_probe(site)
    ksparse = ksparse_curve(*site.of("train"), *site.of("dev"))
    test_acts, test_labels = site.of("test")
    train_acts, train_labels = site.of("train")
    return Decoded(
        site=site,
        ranking=ranking,
        unit=unit,
        probe=probe,
        ksparse=ksparse,
        labels=label_curve(
            train_acts,
            train_labels,
            *site.of("dev"),
            test_acts,
            test_labels,
            seeds=range(label_seeds),
            progress=label_seeds > 0,
        ),
        null=max_null(
            train_acts, train_labels, site.groups("train"), permutations=permutations, seed=seed
        ),
        unit_accuracy=site.interval(by_unit, seed=seed),
        probe_accuracy=site.interval(by_probe, seed=seed),
        ksparse_accuracy={
            sparse.k: site.interval(sparse.probe.predict(test_acts), seed=seed)
            for sparse in ksparse
        },
        shuffled_probe=_shuffled(site, seed),
        participation=_participation(probe, train_acts),
    )


def _participation(probe: LinearProbe, acts: Float[np.ndarray, "n d"]) -> float | None:
    return participation_ratio(probe.weight, acts.std(axis=0)) if probe.n_nonzero else None


def _shuffled(site: Site, seed: int) -> Float[np.ndarray, " shuffles"]:
    (train_acts, train_labels), (dev_acts, dev_labels) = site.of("train"), site.of("dev")
    shuffled = label_permutations(
        train_labels, site.groups("train"), permutations=SHUFFLES, seed=seed
    )
    truth = np.repeat(dev_labels[:, None], SHUFFLES, axis=1)
    probes = fit_l1_path_many(train_acts, shuffled, dev_acts, truth)
    return np.array([probe.accuracy(*site.of("test")) for probe in probes])


def measurements(decoded: Decoded, network: str, *, seed: int) -> Iterator[Measurement]:
    """The numbers of a site, a row each."""
    site = decoded.site
    place = {
        "question": "is sentiment decodable?",
        "network": network,
        "data": site.texts.name,
        "split": "test",
        "hook": site.hook,
        "position": site.position,
        "metric": "accuracy",
        "seed": seed,
    }

    def scored(method: str, interval: Interval, note: str = "") -> Measurement:
        return Measurement(
            **place,
            method=method,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            n=interval.n,
            groups=interval.groups,
            note=note,
        )

    sign = "+" if decoded.ranking.sign[decoded.unit] > 0 else "−"
    yield scored(
        "best unit",
        decoded.unit_accuracy,
        f"unit {decoded.unit} ({sign}), chosen on train; p = {decoded.p_value:.3f} against "
        "the best of all units on shuffled labels",
    )
    for k, interval in decoded.ksparse_accuracy.items():
        yield scored(f"{k}-sparse probe", interval)
    yield scored(
        "L1 probe",
        decoded.probe_accuracy,
        f"C = {decoded.probe.strength:g}, {decoded.probe.n_nonzero} weights"
        + (f", spread over {decoded.participation:.1f} units" if decoded.participation else ""),
    )
    shuffled = decoded.shuffled_probe
    for name, value in (("mean", shuffled.mean()), ("max", shuffled.max())):
        yield Measurement(
            **place,
            method=f"L1 probe, shuffled-label baseline, {name} of {SHUFFLES}",
            value=float(value),
            n=decoded.probe_accuracy.n,
        )

"""The sentiment study: find the unit, test it beside its controls, steer it, write the report."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from experiments.sentiment_neuron.baselines import random_networks, raw_input
from experiments.sentiment_neuron.config import StudyConfig
from experiments.sentiment_neuron.decoding import Decoded, Site, decode, measurements
from experiments.sentiment_neuron.emergence import emergence
from experiments.sentiment_neuron.other_networks import read_networks
from experiments.sentiment_neuron.parts import LabelledTexts, load_texts, split_three
from experiments.sentiment_neuron.report import write_report
from experiments.sentiment_neuron.steering import steer_both
from experiments.sentiment_neuron.verdict import site_to_steer
from worldscope.activations.reading import read_states
from worldscope.features.feature import Feature, unit_feature
from worldscope.features.statistics import Statistics, measure_statistics
from worldscope.networks.loading import load_network, zoo_replicas
from worldscope.networks.mlstm import MLSTM
from worldscope.runs import Run, start_run

UNITS_KEPT = 12
"""So many of the best units of each site keep their values and become features of the run."""


def run_study(config: StudyConfig, *, name: str | None = None) -> Run:
    """Runs the whole study and writes its report.

    Raises:
        LookupError, FileNotFoundError: If a network, a hook of it or the data is not there.
        ValueError: If a data set is too small to be split.
    """
    network = load_network(config.network)
    network.hook_names(config.hooks)
    replicas = zoo_replicas(config.network) if config.replicas is None else config.replicas
    for replica in replicas:
        load_network(replica)
    sets = [
        load_texts(world, config.data, limit=config.limit, seed=config.seed)
        for world in config.worlds
    ]
    for texts in sets:
        split_three(texts, config.seed)
    facts = {**asdict(config), "replicas": replicas, "digest": network.digest}
    with start_run("sentiment_neuron", facts, config.seed, name=name) as run:
        decoded = [found for texts in sets for found in _decode_set(run, network, texts, config)]
        _keep_units(run, sets, decoded)
        run.table("emergence", emergence(config, sets[0]))
        run.table("replicas", _replicas(replicas, config, sets))
        chosen = site_to_steer(decoded)
        statistics = measure_statistics(network, _train_texts(chosen.site), chosen.site.hook)
        _keep_features(run, network, statistics, chosen)
        steer_both(run, network, statistics, chosen, config)
        write_report(run, network, decoded, chosen, config)
    return run


def _decode_set(
    run: Run, network: MLSTM, texts: LabelledTexts, config: StudyConfig
) -> Iterator[Decoded]:
    parts = split_three(texts, config.seed)
    states = read_states(network, texts.texts, config.hooks, progress=True)
    sites = [Site(texts, parts, hook, position, acts) for (hook, position), acts in states.items()]
    for site in tqdm(sites, desc=f"{texts.name}, hooks and positions"):
        label_seeds = config.label_seeds if site.hook == config.hooks[0] else 0
        found = decode(
            site, permutations=config.permutations, label_seeds=label_seeds, seed=config.seed
        )
        run.add(measurements(found, config.network, seed=config.seed))
        run.tried(_tried(found))
        yield found
    run.add(random_networks(network, sites, count=config.random_networks, seed=config.seed))
    run.add(raw_input(texts, parts, data=config.data, seed=config.seed))


def _replicas(
    names: Sequence[str], config: StudyConfig, sets: Sequence[LabelledTexts]
) -> pd.DataFrame:
    tables = [read_networks(names, config, texts, desc="other seeds") for texts in sets]
    return pd.concat(tables, ignore_index=True)


def _tried(found: Decoded) -> list[dict]:
    """Every unit was tried: that is what the null distribution of the maximum is for."""
    return [
        {
            "data": found.site.texts.name,
            "hook": found.site.hook,
            "position": found.site.position,
            "units": len(found.ranking.auroc),
            "chosen": found.unit,
            "by": "accuracy on train",
        }
    ]


def _keep_units(run: Run, sets: Sequence[LabelledTexts], decoded: Sequence[Decoded]) -> None:
    """Tables for the dashboard: rankings, texts, and values of the best units."""
    first_row = dict(
        zip([texts.name for texts in sets], np.cumsum([0, *map(len, sets)]), strict=False)
    )
    rankings, values, kept_rows = [], [], {}
    for found in decoded:
        site, table = found.site, found.ranking.table(len(found.ranking.auroc))
        place = {"data": site.texts.name, "hook": site.hook, "position": site.position}
        rankings.append(table.assign(**place, n=len(site.parts["train"])))
        rows = np.concatenate([site.parts["dev"], site.parts["test"]])
        kept_rows[site.texts.name] = (site, rows)
        for unit in table["unit"][:UNITS_KEPT]:
            columns = {
                "unit": unit,
                "row": rows + first_row[site.texts.name],
                "value": site.acts[rows, unit],
            }
            values.append(pd.DataFrame({**place, **columns}))
    run.table("ranking", pd.concat(rankings, ignore_index=True))
    run.table("unit_values", pd.concat(values, ignore_index=True))
    texts = [_texts_table(site, rows, first_row[name]) for name, (site, rows) in kept_rows.items()]
    run.table("texts", pd.concat(texts, ignore_index=True))


def _texts_table(site: Site, rows: np.ndarray, first: int) -> pd.DataFrame:
    part = {row: name for name, members in site.parts.items() for row in members}
    return pd.DataFrame(
        {
            "row": rows + first,
            "data": site.texts.name,
            "split": [part[row] for row in rows],
            "label": site.texts.labels[rows],
            "group": site.texts.groups[rows],
            "text": [site.texts.texts[row] for row in rows],
        }
    )


def _train_texts(site: Site) -> list[str]:
    return [site.texts.texts[row] for row in site.parts["train"]]


def _keep_features(run: Run, network: MLSTM, statistics: Statistics, chosen: Decoded) -> None:
    for unit in chosen.ranking.order("accuracy")[:UNITS_KEPT]:
        feature = labelled_unit(network, statistics, chosen, int(unit))
        feature.save(run.path / "features" / f"unit-{unit}")


def labelled_unit(network: MLSTM, statistics: Statistics, chosen: Decoded, unit: int) -> Feature:
    """A unit whose sign, fixed on training text, points towards positive reviews."""
    sign = int(chosen.ranking.sign[unit])
    return unit_feature(network, statistics, unit, sign=sign, label="positive review")

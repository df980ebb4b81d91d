"""`worldscope units`: rank the units of a network for any label."""

from pathlib import Path

import numpy as np
import pandas as pd

from experiments.sentiment_neuron.parts import LabelledTexts, draw, split_three
from probes.best_of_many import max_null
from probes.ranking import UnitRanking, rank_units
from worldscope.activations.reading import read_states
from worldscope.measures import mean_interval, permutation_p_value
from worldscope.networks.loading import load_network
from worldscope.runs import replacing
from worldscope.worlds.files import load_world

PERMUTATIONS = 100
CLASSES_NAMED = 5
"""An error names so many classes of a label that has too many."""


def rank(
    data: str,
    network: str,
    text_column: str,
    label_column: str,
    group_column: str | None,
    hook: str,
    top: int,
    limit: int | None,
    out: str | None,
    seed: int,
) -> str:
    """The units ranked on one part of the groups, the best ones scored on the other.

    Returns:
        A table for the terminal, with what it takes to believe it: the accuracy on held-out
        groups, its interval, the commonest class, and the best accuracy that shuffled labels reach.

    Raises:
        ValueError: If the label does not have exactly two classes, a part of the texts has not
            both, `top` is below 1, `seed` below 0, or `out` is no file that can be written.
    """
    if top < 1:
        raise ValueError(f"top is {top}; it must be 1 or more")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be 0 or more")
    if out is not None:
        _check_writable(Path(out))
    world = load_world(
        data, text_column=text_column, label_column=label_column, group_column=group_column
    ).labelled("label")
    classes = world.states[0].classes
    if len(classes) != 2:
        found = ", ".join(classes[:CLASSES_NAMED]) + (", …" if len(classes) > CLASSES_NAMED else "")
        raise ValueError(
            f"column {label_column!r} has {len(classes)} classes ({found}); ranking units needs two"
        )
    texts = draw(LabelledTexts.of(world), limit, seed)
    parts = split_three(texts, seed)
    net = load_network(network)
    states = read_states(net, texts.texts, [hook], progress=True)
    lines = [f"{len(texts)} texts, label 1 is {classes[1]!r}, label 0 is {classes[0]!r}", ""]
    tables = []
    for (name, position), acts in states.items():
        table = _ranked(acts, texts, parts, seed)
        tables.append(table.assign(hook=name, position=position))
        lines += [
            f"{name}, {position} state:",
            _shown(table, top),
            _chance(acts, texts, parts, table, seed),
            "",
        ]
    if out is not None:
        lines.append(f"all units: {_write(pd.concat(tables, ignore_index=True), Path(out))}")
    return "\n".join(lines)


def _ranked(
    acts: np.ndarray, texts: LabelledTexts, parts: dict[str, np.ndarray], seed: int
) -> pd.DataFrame:
    fit, held = np.concatenate([parts["train"], parts["dev"]]), parts["test"]
    ranking = rank_units(acts[fit], texts.labels[fit])
    table = ranking.table(acts.shape[1]).rename(
        columns={"accuracy": "train_accuracy", "auroc": "train_auroc"}
    )
    right = _held_out_right(ranking, acts[held], texts.labels[held])
    table["test_accuracy"] = right.mean(axis=0)[table["unit"]]
    best = mean_interval(right[:, ranking.best("accuracy")], texts.groups[held], seed=seed)
    table["test_low"] = np.nan
    table["test_high"] = np.nan
    table.loc[0, ["test_low", "test_high"]] = (best.low, best.high)
    return table


def _held_out_right(ranking: UnitRanking, acts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(rows, units): whether each unit puts each held-out row on the right side."""
    columns = [ranking.predict(acts[:, unit], unit) == labels for unit in range(acts.shape[1])]
    return np.stack(columns, axis=1).astype(float)


def _shown(table: pd.DataFrame, top: int) -> str:
    columns = ["unit", "sign", "threshold", "train_auroc", "train_accuracy", "test_accuracy"]
    return table[columns].head(top).round(3).to_string(index=False)


def _chance(
    acts: np.ndarray,
    texts: LabelledTexts,
    parts: dict[str, np.ndarray],
    table: pd.DataFrame,
    seed: int,
) -> str:
    fit, held = np.concatenate([parts["train"], parts["dev"]]), parts["test"]
    null = max_null(
        acts[fit], texts.labels[fit], texts.groups[fit], permutations=PERMUTATIONS, seed=seed
    )
    share = float(texts.labels[held].mean())
    best = table.iloc[0]
    p_value = permutation_p_value(best["train_accuracy"], null)
    return (
        f"best unit {int(best['unit'])}: train accuracy {best['train_accuracy']:.3f}, where the "
        f"best of all units on shuffled labels has {np.median(null):.3f} (median of "
        f"{PERMUTATIONS}; p = {p_value:.3f}); on {len(held)} held-out texts "
        f"{best['test_accuracy']:.3f} [{best['test_low']:.3f}, {best['test_high']:.3f}], where the "
        f"commonest class has {max(share, 1 - share):.3f}"
    )


def _check_writable(path: Path) -> None:
    """Refuses before texts are read what could not be written afterwards."""
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path} must end in .csv or .parquet")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)


def _write(table: pd.DataFrame, path: Path) -> Path:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False) if path.suffix == ".csv" else table.to_parquet(
            temporary
        )
    return path

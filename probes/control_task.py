"""Control tasks: what a probe reaches by remembering its inputs, without any meaning in them.

Each type of input (a token, a byte, a piece and its square) is given a random class, fixed for
all its rows. A probe can learn that only by telling the types apart, so what it scores above its
control task, its selectivity, is owed to more than that.

Source: Hewitt and Liang 2019, section 2.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64, Integer

from probes.class_ranking import check_classes

_SMALLEST_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class ControlTask:
    """The labels of a control task."""

    labels: Int64[np.ndarray, " n"]
    """Class of each row, the same for all rows of a type."""
    repeated: float
    """Share of the rows of train and test whose type occurs in both."""


def control_task(
    types: Iterable[Hashable],
    labels: Integer[np.ndarray, " n"],
    train: Integer[np.ndarray, " t"],
    test: Integer[np.ndarray, " s"],
    *,
    seed: int,
) -> ControlTask | None:
    """Random labels, fixed for each type of input, that have the class frequencies of the task.

    Types are dealt to the classes from the commonest of train on. Each goes to a class drawn in
    proportion to the rows that the class still lacks, so that every class is as likely for a type
    as it is frequent in train, and no class gets more rows than it has, but for the rest of a
    type that began within its share. Hewitt and Liang draw every type by itself, which with few
    types misses the frequencies.

    Args:
        types: Type of the input at each row.
        labels: Class of each row in the real task: 0, 1 and so on.
        train: Numbers of the rows that probes are fitted on.
        test: Numbers of the rows that probes are scored on.
        seed: Another seed deals otherwise.

    Returns:
        None where a control says nothing, because types do not repeat: fewer than half of the
        rows of train and test are of a type that occurs in both; or because so few types hold
        the rows that train or test is left with one class.

    Raises:
        ValueError: If labels or types do not fit, a row has no type, or a part has no rows.
    """
    check_classes(labels, rows=len(labels))
    type_of_row, count = _number_types(types, rows=len(labels))
    for name, rows in (("train", train), ("test", test)):
        if len(rows) == 0:
            raise ValueError(f"There are no rows in {name}: a control task needs some.")
    repeated = _share_repeated(type_of_row[train], type_of_row[test])
    if repeated < _SMALLEST_SHARE:
        return None
    rows_of_type = np.bincount(type_of_row[train], minlength=count)
    rows_of_class = np.bincount(labels[train], minlength=int(labels.max()) + 1)
    class_of_type = _deal(rows_of_type, rows_of_class, np.random.default_rng(seed))
    control = class_of_type[type_of_row]
    if any(len(np.unique(control[rows])) < 2 for rows in (train, test)):
        return None
    return ControlTask(control, repeated)


def selectivity(task_score: float, control_score: float | None) -> float | None:
    """Score on the task minus score on its control task; None where there is no control."""
    return None if control_score is None else task_score - control_score


def _number_types(types: Iterable[Hashable], *, rows: int) -> tuple[Int64[np.ndarray, " n"], int]:
    """(number of each row's type, number of types)."""
    names = types.tolist() if isinstance(types, np.ndarray) else list(types)
    if len(names) != rows:
        raise ValueError(f"There are {rows} labels and {len(names)} types: give one of each a row.")
    number: dict[Hashable, int] = {}
    for row, name in enumerate(names):
        if name is None or name != name:  # NaN alone differs from itself
            raise ValueError(
                f"Row {row} has no type ({name}): give every row one, or leave it out."
            )
        number.setdefault(name, len(number))
    return np.array([number[name] for name in names], dtype=np.int64), len(number)


def _share_repeated(train: Int[np.ndarray, " t"], test: Int[np.ndarray, " s"]) -> float:
    rows = np.concatenate([train, test])
    return float(np.isin(rows, np.intersect1d(train, test)).mean())


def _deal(
    rows_of_type: Int[np.ndarray, " types"],
    rows_of_class: Int[np.ndarray, " classes"],
    random: np.random.Generator,
) -> Int64[np.ndarray, " types"]:
    """A class for each type; types without rows are drawn by the frequencies alone."""
    classes = np.empty(len(rows_of_type), dtype=np.int64)
    lacking = rows_of_class.astype(np.float64)
    shuffled = random.permutation(len(rows_of_type))
    draws = random.random(len(rows_of_type))
    for kind in shuffled[np.argsort(-rows_of_type[shuffled], kind="stable")]:
        open_rows = np.maximum(lacking, 0) if rows_of_type[kind] else rows_of_class
        shares = np.cumsum(open_rows)
        classes[kind] = np.searchsorted(shares, draws[kind] * shares[-1], side="right")
        lacking[classes[kind]] -= rows_of_type[kind]
    return classes

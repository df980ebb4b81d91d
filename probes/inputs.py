"""What every probe is given: activations (n, d) and a label, 0 or 1, for each row."""

import numpy as np

from worldscope.measures import check_labels


def check_acts(acts: np.ndarray) -> None:
    """Accept activations that are a table of finite floats with a row and a unit at least.

    Raises:
        ValueError: Otherwise, naming the row and the unit that are wrong.
    """
    if acts.ndim != 2 or 0 in acts.shape:
        raise ValueError(f"Activations have shape {acts.shape}: they must be (rows, units).")
    finite = np.isfinite(acts)
    if finite.all():
        return
    row, unit = np.argwhere(~finite)[0]
    raise ValueError(
        f"The activation of unit {unit} at row {row} is {acts[row, unit]}: "
        "every activation must be finite."
    )


def check_labelled(acts: np.ndarray, labels: np.ndarray) -> None:
    """Accept finite activations with one label a row and both labels present.

    Raises:
        ValueError: Otherwise, naming what is wrong and where.
    """
    check_acts(acts)
    check_labels(labels, rows=len(acts))


def check_parts(
    train_acts: np.ndarray, train_columns: np.ndarray, dev_acts: np.ndarray, dev_columns: np.ndarray
) -> None:
    """Accept a part to fit on and a part to choose on, each with as many label columns.

    Raises:
        ValueError: If one of them is wrong in itself, or they do not fit together.
    """
    for part, acts, columns in (
        ("train", train_acts, train_columns),
        ("dev", dev_acts, dev_columns),
    ):
        try:
            check_acts(acts)
            for column in columns.T:
                check_labels(column, rows=len(acts))
        except ValueError as error:
            raise ValueError(f"In {part}: {error}") from None
    if train_acts.shape[1] != dev_acts.shape[1]:
        raise ValueError(
            f"train has {train_acts.shape[1]} units and dev {dev_acts.shape[1]}: "
            "both must come from one hook."
        )
    if train_columns.shape[1] != dev_columns.shape[1]:
        raise ValueError(
            f"train has {train_columns.shape[1]} label columns and dev {dev_columns.shape[1]}: "
            "give one of each for a fit."
        )

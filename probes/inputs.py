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

"""What probes refuse, in words that say where to look."""

import numpy as np
import pytest

from probes.inputs import check_acts, check_labelled, check_parts


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_activation_that_is_not_finite_is_named_by_unit_and_row(bad: float) -> None:
    acts = np.zeros((5, 3), dtype=np.float32)
    acts[4, 1] = bad
    with pytest.raises(ValueError, match=f"activation of unit 1 at row 4 is {bad}"):
        check_acts(acts)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4,)])
def test_activations_that_are_no_table_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be \\(rows, units\\)"):
        check_acts(np.zeros(shape))


def test_labels_must_be_one_a_row() -> None:
    with pytest.raises(ValueError, match="5 rows and labels of shape"):
        check_labelled(np.zeros((5, 3)), np.array([0, 1, 1]))


def test_train_and_dev_must_fit_together() -> None:
    acts, columns = np.zeros((4, 3)), np.tile([[0], [1]], (2, 5))
    check_parts(acts, columns, acts, columns)
    with pytest.raises(ValueError, match="train has 3 units and dev 2"):
        check_parts(acts, columns, acts[:, :2], columns)
    with pytest.raises(ValueError, match="train has 5 label columns and dev 4"):
        check_parts(acts, columns, acts, columns[:, :4])
    with pytest.raises(ValueError, match="In dev: The 2 labels hold only 0"):
        check_parts(acts, columns, acts[::2], columns[::2])

"""One-vs-rest areas of all units against scikit-learn, and laws that hold for any table."""

from inspect import unwrap
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from probes.class_ranking import ClassRanking, rank_units_by_class
from probes.ranking import rank_units


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Activations with ties, and labels that hold every class."""
    classes = draw(st.integers(2, 4))
    rows = draw(st.integers(classes, 20))
    values = st.integers(-4, 4).map(float)
    acts = draw(hnp.arrays(np.float32, (rows, draw(st.integers(1, 5))), elements=values))
    free = draw(
        st.lists(st.integers(0, classes - 1), min_size=rows - classes, max_size=rows - classes)
    )
    return acts, np.array(draw(st.permutations([*range(classes), *free])))


@given(tables())
def test_every_class_has_the_area_of_scikit_learn(table: tuple[np.ndarray, np.ndarray]) -> None:
    acts, labels = table
    ranking = rank_units_by_class(acts, labels)
    expected = [
        [roc_auc_score(labels == label, unit) for label in range(labels.max() + 1)]
        for unit in acts.T
    ]
    assert ranking.auroc.shape == (acts.shape[1], labels.max() + 1)
    assert ranking.auroc == pytest.approx(np.array(expected), abs=1e-12)
    assert ranking.distance == pytest.approx(np.abs(np.array(expected) - 0.5).mean(axis=1))


@given(tables(), st.randoms())
def test_what_the_areas_depend_on(table: tuple[np.ndarray, np.ndarray], random: Random) -> None:
    acts, labels = table
    expected = rank_units_by_class(acts, labels).auroc
    units = random.sample(range(acts.shape[1]), acts.shape[1])
    renumbered = labels.max() - labels
    assert (rank_units_by_class(np.exp(acts), labels).auroc == expected).all()
    assert (rank_units_by_class(acts[:, units], labels).auroc == expected[units]).all()
    assert (rank_units_by_class(acts, renumbered).auroc == expected[:, ::-1]).all()
    assert rank_units_by_class(-acts, labels).auroc == pytest.approx(1 - expected)


@given(tables())
def test_two_classes_are_ranked_as_a_binary_label(table: tuple[np.ndarray, np.ndarray]) -> None:
    acts, labels = table[0], np.minimum(table[1], 1)
    binary = rank_units(acts, labels).auroc
    assert rank_units_by_class(acts, labels).auroc == pytest.approx(
        np.stack([1 - binary, binary], axis=1)
    )


def known() -> ClassRanking:
    """Unit 1 knows every class, unit 2 only class 0, unit 0 nothing."""
    labels = np.array([0, 0, 1, 1, 2, 2])
    acts = np.stack([np.zeros(6), 1.0 * labels, -1.0 * (labels == 0)], axis=1)
    return rank_units_by_class(acts, labels)


def test_the_order_is_by_the_mean_over_classes() -> None:
    ranking = known()
    assert ranking.auroc == pytest.approx(np.array([[0.5, 0.5, 0.5], [0, 0.5, 1], [0, 0.75, 0.75]]))
    assert ranking.distance == pytest.approx([0, 1 / 3, 1 / 3])
    assert ranking.order().tolist() == [1, 2, 0]
    assert ranking.best() == 1


def test_the_table_names_the_class_that_a_unit_tells_best() -> None:
    table = known().table(2)
    assert list(table.columns) == ["unit", "distance", "class", "auroc"]
    assert table["unit"].tolist() == [1, 2]
    assert table["class"].tolist() == [0, 0]
    assert table["auroc"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1], r"4 rows and labels of shape \(2,\): give one label a row"),
        ([0, 1, -1, 1], "label of row 2 is -1: classes are 0, 1 and so on"),
        ([1, 1, 1, 1], "4 labels hold only 1: two classes are needed at least"),
        ([0, 1, 3, 0], "No row has class 2 and some have class 3: number the classes"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: list[int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        unwrap(rank_units_by_class)(np.zeros((4, 2)), np.array(labels))  # past the check of types


def test_an_activation_that_is_not_finite_is_refused() -> None:
    acts = np.zeros((3, 2))
    acts[1, 0] = np.nan
    with pytest.raises(ValueError, match="unit 0 at row 1 is nan"):
        rank_units_by_class(acts, np.array([0, 1, 2]))

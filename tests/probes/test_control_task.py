"""Control tasks: what they keep of the real task, and when they are blank."""

import numpy as np
import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from probes.control_task import ControlTask, control_task, selectivity


def make(
    types: np.ndarray | list, labels: np.ndarray, *, seed: int = 0, train: int | None = None
) -> ControlTask | None:
    """The control task with the first rows as train, half of them by default."""
    cut = len(labels) // 2 if train is None else train
    return control_task(types, labels, np.arange(cut), np.arange(cut, len(labels)), seed=seed)


def made(*args, **settings) -> ControlTask:
    control = make(*args, **settings)
    assert control is not None
    return control


@given(
    rows=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2)), min_size=8, max_size=60),
    seed=st.integers(0, 99),
)
def test_a_type_has_one_class_and_blank_follows_the_rule(
    rows: list[tuple[str, int]], seed: int
) -> None:
    types = [kind for kind, _ in rows]
    labels = np.array([0, 1, 2, *(label for _, label in rows[3:])])
    half = len(rows) // 2
    both = set(types[:half]) & set(types[half:])
    repeated = sum(kind in both for kind in types) / len(types)
    control = make(types, labels, seed=seed)
    if control is None:
        # Three classes are dealt to several types: one class only takes few, large types.
        assert repeated < 0.5 or min(len(set(types[:half])), len(set(types[half:]))) <= 4
        return
    assert control.repeated == pytest.approx(repeated)
    assert repeated >= 0.5
    assert control.labels.shape == labels.shape
    assert len({*zip(types, control.labels.tolist(), strict=True)}) == len(set(types))
    assert set(control.labels.tolist()) <= {0, 1, 2}


def test_classes_are_as_frequent_as_in_the_real_task() -> None:
    """Types as frequent as words are, the commonest with 3 % of the rows."""
    random = np.random.default_rng(0)
    weight = 1 / (5 + np.arange(2000))
    types = random.choice(2000, p=weight / weight.sum(), size=20_000)
    labels = random.choice(3, p=[0.7, 0.2, 0.1], size=len(types))
    for seed in range(20):
        control = made(types, labels, seed=seed)
        real, dealt = (np.bincount(x[:10_000]) for x in (labels, control.labels))
        assert np.abs(real - dealt).max() <= 10, seed


@given(
    types=st.lists(st.integers(0, 5), min_size=20, max_size=60),
    share=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_no_class_is_too_frequent_by_a_whole_type(types: list[int], share: int, seed: int) -> None:
    half = len(types) // 2
    labels = np.random.default_rng(seed).permutation(np.arange(len(types)) % 10 < share).astype(int)
    assume(len(set(labels[:half])) == 2)
    control = make(types, labels, seed=seed)
    if control is None:
        reject()
    for label in (0, 1):
        dealt = np.flatnonzero(control.labels[:half] == label)
        smallest_type = min(np.bincount(types[:half])[types[row]] for row in dealt)
        assert len(dealt) - np.count_nonzero(labels[:half] == label) < smallest_type


def test_every_class_is_as_likely_for_a_type_as_it_is_frequent() -> None:
    """Forty types of equal size, three rows in ten of class 1."""
    types = np.tile(np.arange(40), 10)
    labels = (np.arange(400) % 10 < 3).astype(int)
    classes = np.stack([made(types, labels, seed=seed).labels[:40] for seed in range(600)])
    assert np.abs(classes.mean(axis=0) - 0.3).max() < 4.5 * np.sqrt(0.3 * 0.7 / 600)
    assert len(np.unique(classes, axis=0)) > 500


def test_the_seed_fixes_the_labels_and_types_may_be_anything_hashable() -> None:
    labels = np.arange(200) % 2
    types = [("piece", number % 20, b"square") for number in range(200)]
    first, again, other = (made(types, labels, seed=seed).labels for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_labels_of_test_rows_do_not_count() -> None:
    labels = np.arange(200) % 2
    changed = np.concatenate([labels[:100], np.ones(100, int)])
    types = np.arange(200) % 20
    assert np.array_equal(made(types, labels).labels, made(types, changed).labels)


def test_control_is_blank_where_types_do_not_repeat_or_one_type_is_all() -> None:
    labels = np.arange(100) % 2
    assert make(np.arange(100), labels) is None
    assert make(np.zeros(100, int), labels) is None
    assert make([*range(50), *range(24), *range(100, 126)], labels) is None  # 48 of 100 rows
    half = made([*range(50), *range(25), *range(100, 125)], labels)
    assert half.repeated == 0.5


def test_selectivity_is_the_difference_and_blank_without_a_control() -> None:
    assert selectivity(0.9, 0.6) == pytest.approx(0.3)
    assert selectivity(0.9, None) is None


def test_one_hot_types_are_not_selective_and_a_state_beyond_the_type_is() -> None:
    """A probe of the type itself learns the control task entirely; one of the state cannot."""
    random = np.random.default_rng(0)
    types, state = random.integers(30, size=2000), random.integers(2, size=2000)
    control = made(types, state)
    train, test = np.arange(1000), np.arange(1000, 2000)

    def score(acts: np.ndarray, labels: np.ndarray) -> float:
        return float(
            LogisticRegression().fit(acts[train], labels[train]).score(acts[test], labels[test])
        )

    assert score(np.eye(30)[types], control.labels) == 1
    of_state = score(state[:, None], state) - score(state[:, None], control.labels)
    assert of_state > 0.35


def test_wrong_input_is_named() -> None:
    labels = np.arange(4) % 2
    with pytest.raises(ValueError, match="There are 4 labels and 3 types"):
        make(["a"] * 3, labels)
    for missing in (None, float("nan")):
        with pytest.raises(ValueError, match="Row 1 has no type"):
            make(["a", missing, "a", "b"], labels)
    with pytest.raises(ValueError, match="There are no rows in test"):
        make(["a"] * 4, labels, train=4)
    with pytest.raises(ValueError, match="hold only 0"):
        make(["a"] * 4, np.zeros(4, int))

"""The online code length against brute force, and what it must be in the clear cases."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from probes.description_length import FRACTIONS, Acts, Predict, online_code_length


def fit_logistic(acts: Acts, labels: np.ndarray) -> Predict:
    return LogisticRegression().fit(np.asarray(acts), labels).predict_log_proba


def fit_uniform(acts: Acts, labels: np.ndarray) -> Predict:
    classes = int(labels.max()) + 1
    return lambda later: np.full((len(later), classes), -np.log(classes))


def readable(rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Activations from which the class can nearly be read."""
    random = np.random.default_rng(0)
    labels = random.integers(classes, size=rows)
    return 2 * np.eye(classes, 6)[labels] + random.standard_normal((rows, 6)), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_bits_are_those_of_brute_force(classes: int) -> None:
    """With a group for each row, the order of sending is that of the groups alone."""
    acts, labels = readable(1000, classes)
    ours = online_code_length(acts, labels, range(1000), fit_logistic, seed=3)

    place = np.random.default_rng(3).permutation(1000)
    order = np.argsort(place)
    bits, cuts = 0.0, [0, 1, 2, 4, 8, 16, 32, 63, 125, 250, 500, 1000]
    for start, end in zip(cuts, cuts[1:], strict=False):
        for row in order[start:end]:
            sent = order[:start]
            if len(set(labels[sent])) < classes:
                bits += np.log2(classes)
            else:
                probe = LogisticRegression().fit(acts[sent], labels[sent])
                bits -= np.log2(probe.predict_proba(acts[[row]])[0, labels[row]])
        if end == 63:
            assert sum(block.bits for block in ours.blocks[:7]) == pytest.approx(bits)
            break
    for start, end in zip(cuts[7:], cuts[8:], strict=False):
        probe = LogisticRegression().fit(acts[order[:start]], labels[order[:start]])
        of_label = probe.predict_proba(acts[order[start:end]])[
            np.arange(end - start), labels[order[start:end]]
        ]
        bits -= np.log2(of_label).sum()
    assert [block.rows for block in ours.blocks] == np.diff(cuts).tolist()
    assert ours.bits == pytest.approx(bits)
    assert ours.uniform_bits == pytest.approx(1000 * np.log2(classes))
    assert ours.compression == pytest.approx(1000 * np.log2(classes) / bits)
    assert ours.compression > 1.5


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=30),
    seed=st.integers(0, 99),
    classes=st.integers(2, 3),
)
def test_each_row_is_sent_once_and_no_group_is_on_both_sides_of_a_probe(
    sizes: list[int], seed: int, classes: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.random.default_rng(seed).permutation(np.append(groups, [0] * classes))
    labels = np.arange(len(groups)) % classes
    acts = np.stack([groups, np.arange(len(groups)), labels], axis=1).astype(np.float64)
    calls: list[tuple[np.ndarray, np.ndarray]] = []

    def fit(before: Acts, known: np.ndarray) -> Predict:
        assert np.array_equal(np.asarray(before)[:, 2], known)

        def predict(block: Acts) -> np.ndarray | torch.Tensor:
            calls.append((np.asarray(before), np.asarray(block)))
            return fit_uniform(before, known)(block)

        return predict

    code = online_code_length(acts, labels, groups, fit, seed=seed)
    assert code.bits == pytest.approx(code.uniform_bits)
    assert sum(block.rows for block in code.blocks) == len(groups)
    assert len(calls) == sum(not block.uniform for block in code.blocks)
    for before, block in calls:
        assert not set(before[:, 0]) & set(block[:, 0])
        assert len(set(before[:, 2])) == classes
    if calls:
        sent = np.concatenate([calls[0][0], *(block for _, block in calls)])
        assert sorted(sent[:, 1]) == list(range(len(groups)))


def test_blocks_end_at_the_fractions_of_the_rows() -> None:
    acts, labels = readable(10_000, 2)
    code = online_code_length(acts, labels, range(10_000), fit_uniform, seed=0)
    ends = np.cumsum([block.rows for block in code.blocks])
    assert ends.tolist() == [10, 20, 40, 80, 160, 320, 625, 1250, 2500, 5000, 10_000]
    assert [block.fitted_rows for block in code.blocks] == [0, *ends[:-1]]
    assert len(FRACTIONS) == 11


@pytest.mark.parametrize("seed", range(5))
def test_useless_activations_cost_the_uniform_code_or_more(seed: int) -> None:
    random = np.random.default_rng(seed)
    acts, labels = random.standard_normal((2000, 5)), random.integers(2, size=2000)
    assert online_code_length(acts, labels, range(2000), fit_logistic, seed=seed).compression < 1.01


def test_a_perfect_probe_pays_for_its_first_blocks_alone() -> None:
    acts, labels = readable(1000, 2)
    acts[:, 0] = labels

    def perfect(before: Acts, known: np.ndarray) -> Predict:
        del before, known
        with np.errstate(divide="ignore"):
            return lambda later: np.log(np.eye(2)[np.asarray(later)[:, 0].astype(int)])

    with np.errstate(divide="ignore"):
        code = online_code_length(acts, labels, range(1000), perfect, seed=0)
    uniform = [block for block in code.blocks if block.uniform]
    assert code.bits == sum(block.rows for block in uniform) < 10


def test_tensors_give_the_bits_of_arrays() -> None:
    acts, labels = readable(500, 2)

    def fit_tensor(before: Acts, known: np.ndarray) -> Predict:
        assert isinstance(before, torch.Tensor)
        predict = fit_logistic(before, known)
        return lambda later: torch.as_tensor(predict(later))

    array = online_code_length(acts, labels, range(500), fit_logistic, seed=0)
    tensor = online_code_length(torch.from_numpy(acts), labels, range(500), fit_tensor, seed=0)
    assert tensor == array


def test_the_table_has_a_row_for_each_block() -> None:
    acts, labels = readable(200, 2)
    code = online_code_length(acts, labels, range(200), fit_logistic, seed=0)
    table = code.table()
    assert list(table) == ["fitted_rows", "rows", "uniform", "bits", "bits_per_row"]
    assert table["bits"].tolist() == [block.bits for block in code.blocks]
    assert table["bits_per_row"].tolist()[0] == 1


def test_a_label_that_was_impossible_costs_infinitely_many_bits() -> None:
    acts, labels = readable(100, 2)

    def certain(before: Acts, known: np.ndarray) -> Predict:
        del before, known
        return lambda later: np.tile([0.0, -np.inf], (len(later), 1))

    code = online_code_length(acts, labels, range(100), certain, seed=0)
    assert (code.bits, code.compression) == (np.inf, 0)


@pytest.mark.parametrize(
    ("log_probs", "message"),
    [
        ([0.5, 0.5], "must give logarithms"),
        ([np.nan, 0.0], "add up to nan"),
        ([0.0], r"they must be \(rows, classes\)"),
    ],
)
def test_predictions_that_are_no_log_probabilities_are_named(log_probs: list, message: str) -> None:
    acts, labels = readable(100, 2)

    def wrong(before: Acts, known: np.ndarray) -> Predict:
        del before, known
        return lambda later: np.tile(log_probs, (len(later), 1))

    with pytest.raises(ValueError, match=message):
        online_code_length(acts, labels, range(100), wrong, seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fractions": (0.5, 0.25, 1.0)}, "must ascend"),
        ({"fractions": (0.0, 1.0)}, "must ascend"),
        ({"fractions": ()}, "must ascend"),
        ({"fractions": (0.1, 0.5)}, "The last fraction is 0.5"),
        ({"groups": range(99)}, "There are 100 labels and 99 groups"),
    ],
)
def test_wrong_settings_are_named(settings: dict, message: str) -> None:
    acts, labels = readable(100, 2)
    given = {"groups": range(100), "fractions": FRACTIONS} | settings
    with pytest.raises(ValueError, match=message):
        online_code_length(acts, labels, fit=fit_uniform, seed=0, **given)

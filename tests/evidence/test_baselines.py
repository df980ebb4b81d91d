import numpy as np
import pandas as pd
import pytest

from evidence.baselines import Baseline, random_init_baseline, shuffled_label_baseline
from worldscope.activations.reading import read_states
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM

TEXTS = ["one text", "another text", "a third", "and a fourth one"]
LABELS = np.array([0, 1, 0, 1])


def test_random_networks_have_the_same_shape_codec_inputs_and_procedure(recurrent: MLSTM) -> None:
    given = []

    def score(states, labels) -> dict[str, float]:
        given.append((states, labels))
        return {"first": float(states["lstm.0.hook_c", "mean"][0, 0])}

    baseline = random_init_baseline(recurrent, TEXTS, LABELS, score, seeds=(5, 6, 7))
    assert baseline.table["draw"].tolist() == [5, 6, 7]
    for seed, (states, labels) in zip((5, 6, 7), given, strict=True):
        untrained = new_mlstm(recurrent.codec, d_hidden=8, d_embed=4, seed=seed)
        untrained.requires_grad_(False)
        expected = read_states(untrained, TEXTS)
        assert states.keys() == expected.keys()
        for place, acts in states.items():
            np.testing.assert_array_equal(acts, expected[place])
        np.testing.assert_array_equal(labels, LABELS)
    assert len(set(baseline.values("first"))) == 3


def test_what_the_network_learned_plays_no_part(recurrent: MLSTM) -> None:
    def score(states, _) -> dict[str, float]:
        return {"sum": float(states["lstm.0.hook_h", "final"].sum())}

    settings = {"hooks": ["hook_h"], "positions": ["final"], "seeds": (1,)}
    trained = new_mlstm(d_hidden=8, d_embed=4).requires_grad_(False)
    trained.v_h_g.mul_(2.0)
    one, other = (
        random_init_baseline(network, TEXTS, LABELS, score, **settings)
        for network in (recurrent, trained)
    )
    pd.testing.assert_frame_equal(one.table, other.table)


def test_only_training_labels_are_shuffled_and_groups_stay_together() -> None:
    labels = np.repeat(np.arange(40) % 2, 2)
    groups = np.repeat(np.arange(40), 2).tolist()
    train = np.arange(60)
    seen = []

    def score(inputs: str, shuffled: np.ndarray) -> dict[str, float]:
        assert inputs == "inputs"
        seen.append(shuffled)
        return {"moved": float(np.mean(shuffled[train] != labels[train]))}

    baseline = shuffled_label_baseline("inputs", labels, groups, train, score, seed=1)
    assert len(seen) == len(baseline.table) == 20
    assert len({shuffled.tobytes() for shuffled in seen}) == 20
    for shuffled in seen:
        np.testing.assert_array_equal(shuffled[60:], labels[60:])
        assert shuffled[:60].sum() == labels[:60].sum()
        assert (shuffled[:60].reshape(-1, 2).std(axis=1) == 0).all()
    assert 0.3 < baseline.mean("moved") < 0.7
    assert labels.tolist() == np.repeat(np.arange(40) % 2, 2).tolist(), "left as they were"


def test_a_probe_that_was_taught_shuffled_labels_is_at_chance() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    acts = random.standard_normal((400, 3)) + labels[:, None]
    train, test = np.arange(200), np.arange(200, 400)

    def score(acts: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        means = [acts[train][labels[train] == label].mean(axis=0) for label in (0, 1)]
        middle, direction = (means[0] + means[1]) / 2, means[1] - means[0]
        guess = (acts[test] - middle) @ direction > 0
        return {"accuracy": float(np.mean(guess == labels[test]))}

    observed = score(acts, labels)["accuracy"]
    baseline = shuffled_label_baseline(acts, labels, list(range(400)), train, score)
    assert observed > 0.75
    assert abs(baseline.mean("accuracy") - 0.5) < 0.12
    assert baseline.p_value("accuracy", observed) == 1 / 21


def test_a_baseline_has_a_mean_a_maximum_and_a_p_value_for_each_metric() -> None:
    baseline = Baseline(pd.DataFrame({"draw": [0, 1, 2], "auroc": [0.5, 0.6, 0.7]}))
    assert baseline.mean("auroc") == pytest.approx(0.6)
    assert baseline.maximum("auroc") == 0.7
    assert baseline.p_value("auroc", 0.65) == (1 + 1) / (1 + 3)
    for name in ("accuracy", "draw"):
        with pytest.raises(LookupError, match="the procedure gave auroc"):
            baseline.mean(name)

import numpy as np
import pandas as pd
import pytest

from evidence.baselines import Baseline, random_init_baseline
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


def test_a_baseline_has_a_mean_and_a_maximum_for_each_metric() -> None:
    baseline = Baseline(pd.DataFrame({"draw": [0, 1, 2], "auroc": [0.5, 0.6, 0.7]}))
    assert baseline.mean("auroc") == pytest.approx(0.6)
    assert baseline.maximum("auroc") == 0.7
    for name in ("accuracy", "draw"):
        with pytest.raises(LookupError, match="the procedure gave auroc"):
            baseline.mean(name)

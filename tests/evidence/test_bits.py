import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.bits import Bits, continuation_bits, cost_interval, text_bits
from worldscope.features.feature import unit_feature
from worldscope.features.statistics import measure_statistics
from worldscope.measures import bootstrap_interval
from worldscope.networks.codecs import BPECodec
from worldscope.networks.generation import Generation
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM
from worldscope.steering.edits import Clamp, steer

TEXTS = ["short", "a rather longer text than the others, with café in it", "so so", "x"]


def bits_one_by_one(network: MLSTM, texts: list[str]) -> np.ndarray:
    return np.array(
        [
            float(network.loss(network.to_symbols(text)).double().sum()) / math.log(2)
            for text in texts
        ]
    )


@pytest.mark.parametrize(("batch", "chunk"), [(1, 1), (2, 7), (64, 64)])
def test_bits_of_texts_are_those_of_each_read_alone(
    recurrent: MLSTM, batch: int, chunk: int
) -> None:
    bits = text_bits(recurrent, TEXTS, batch=batch, chunk=chunk)
    assert bits.bits == pytest.approx(bits_one_by_one(recurrent, TEXTS), rel=1e-5)
    # "\n " and the text and " ", without the first byte, which nothing predicts
    assert bits.n_bytes.tolist() == [len(text.encode()) + 2 for text in TEXTS]


def test_bits_follow_the_edits_in_place(recurrent: MLSTM) -> None:
    feature = unit_feature(recurrent, measure_statistics(recurrent, TEXTS, "hook_c"), 2)
    plain = text_bits(recurrent, TEXTS)
    with steer(recurrent, Clamp(feature, 3.0)):
        steered = text_bits(recurrent, TEXTS, batch=2, chunk=5)
        expected = bits_one_by_one(recurrent, TEXTS)
    assert steered.bits == pytest.approx(expected, rel=1e-5)
    assert abs(steered.per_byte - plain.per_byte) > 1e-3


def test_a_continuation_costs_what_comes_after_its_prompt(recurrent: MLSTM) -> None:
    prompt, symbols = "so far", tuple(b" so good")
    bits = continuation_bits(recurrent, [Generation(prompt, "", 0, symbols)] * 2)
    whole = recurrent.encode(prompt, end=False)
    losses = recurrent.loss(torch.tensor([[*whole, *symbols]]))[0]
    expected = float(losses[-len(symbols) :].double().sum()) / math.log(2)
    assert bits.bits == pytest.approx([expected] * 2, rel=1e-5)
    assert bits.n_bytes.tolist() == [len(symbols)] * 2


def test_pieces_of_several_bytes_count_as_such() -> None:
    codec = BPECodec.train(["the the the other the"] * 20, n_symbols=270)
    network = new_mlstm(codec, d_hidden=4, d_embed=4)
    symbols = tuple(codec.encode("the other")[1:])
    assert len(symbols) < sum(map(len, codec.pieces(symbols)))
    bits = continuation_bits(network, [Generation("the", "", 0, symbols)])
    assert bits.n_bytes.tolist() == [sum(map(len, codec.pieces(symbols)))]


def test_an_empty_text_is_named(recurrent: MLSTM) -> None:
    with pytest.raises(ValueError, match=r"text 1 \(' '\): .*empty"):
        text_bits(recurrent, ["fine", " "])


@settings(max_examples=10)
@given(st.integers(2, 30), st.integers(0, 10))
def test_texts_of_one_length_have_the_interval_of_their_mean_difference(
    rows: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    after, before = random.random((2, rows))
    groups = [row % max(2, rows // 2) for row in range(rows)]
    width = np.full(rows, 4)
    cost = cost_interval(Bits(after, width), Bits(before, width), groups, seed=seed)
    difference = (after - before) / 4
    expected = bootstrap_interval(lambda c: float(c @ difference / c.sum()), groups, seed=seed)
    assert [cost.value, cost.low, cost.high] == pytest.approx(
        [expected.value, expected.low, expected.high]
    )


def test_longer_texts_weigh_more() -> None:
    edited = Bits(np.array([10.0, 300.0]), np.array([10, 100]))
    plain = Bits(np.array([10.0, 100.0]), np.array([10, 100]))
    assert cost_interval(edited, plain, ["a", "b"], seed=0).value == pytest.approx(200 / 110)

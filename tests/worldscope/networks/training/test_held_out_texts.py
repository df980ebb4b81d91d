"""Bits per byte of texts that were held out, and how they are chosen."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldscope.networks.codecs import BPECodec, BytesCodec
from worldscope.networks.corpus import Corpus, pack
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.training import (
    bits_per_byte,
    split_texts,
)


def by_hand(network: MLSTM, corpus: Corpus, batch: int) -> float:
    """Bits per byte of streams, each read in one piece, in float64."""
    length = len(corpus.symbols) // batch
    bits = count = 0
    for row in range(batch):
        symbols = corpus.symbols[row * length : (row + 1) * length].astype(np.int64)
        logits = network(torch.from_numpy(symbols)[None]).logits[0].double().numpy()
        for before, after in enumerate(symbols[1:]):
            bits += np.log2(np.exp(logits[before] - logits[before][after]).sum())
            count += 1
    return bits / (count * corpus.bytes_per_symbol)


@pytest.mark.parametrize(("repeats", "batch"), [(1, 1), (4, 3)])
def test_bits_per_byte_counts_every_symbol_of_every_stream(
    small: Any, network: MLSTM, bpe: BPECodec, repeats: int, batch: int
) -> None:
    for codec in (BytesCodec(), bpe):
        reader = network if codec.name == "bytes" else new_mlstm(bpe, d_hidden=6, d_embed=5)
        text = pack(small.texts * repeats, codec)
        streams = min(batch, max(1, len(text.symbols) // 512))
        found = bits_per_byte(reader, text, batch=batch)
        assert found == pytest.approx(by_hand(reader, text, streams), rel=1e-5)


def test_a_uniform_network_needs_eight_bits_for_a_byte(small: Any, network: MLSTM) -> None:
    network.w_out.zero_()
    network.b_out.zero_()
    assert bits_per_byte(network, small.corpus()) == pytest.approx(8)


def test_one_symbol_has_no_bits_per_byte(network: MLSTM) -> None:
    with pytest.raises(ValueError, match="the text has 1 symbols; .* needs at least 2"):
        bits_per_byte(network, Corpus(np.zeros(1, dtype=np.uint8), 1))


@given(
    groups=st.lists(st.integers(0, 8), min_size=2).filter(lambda groups: len(set(groups)) > 1),
    fraction=st.floats(0.0, 1.0),
    seed=st.integers(0, 5),
)
def test_no_group_is_in_both_parts_and_no_text_is_lost(
    groups: list[int], fraction: float, seed: int
) -> None:
    texts = [f"{group} {place}" for place, group in enumerate(groups)]
    kept, held = split_texts(texts, groups, fraction=fraction, seed=seed)
    assert kept
    assert held
    assert {text.split()[0] for text in kept}.isdisjoint(text.split()[0] for text in held)
    assert sorted(kept + held) == sorted(texts)
    assert (kept, held) == split_texts(texts, groups, fraction=fraction, seed=seed)
    wanted = fraction * len(set(groups))
    assert abs(len({text.split()[0] for text in held}) - wanted) <= 1


def test_one_group_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="validation needs at least two groups of texts"):
        split_texts(["a", "b"], ["x", "x"], fraction=0.1, seed=0)

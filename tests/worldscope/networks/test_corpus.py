"""Facts about packed texts and the streams that are cut from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldscope.networks.codecs import BPECodec, BytesCodec, frame
from worldscope.networks.corpus import Corpus, Streams, pack

TEXTS = ["One film.", "Another café.", "A third."]


def counted(length: int) -> Corpus:
    """Symbols 0, 1, 2, …, so that a symbol is its own place."""
    return Corpus(np.arange(length), length)


def test_a_corpus_is_the_framed_texts_one_after_the_other() -> None:
    corpus = pack(TEXTS, BytesCodec())
    assert bytes(corpus.symbols) == "".join(map(frame, TEXTS)).encode()
    assert corpus.n_bytes == len(corpus.symbols)
    assert corpus.bytes_per_symbol == 1
    assert corpus.symbols.dtype == np.uint8


def test_bytes_are_counted_whatever_the_pieces(bpe: BPECodec) -> None:
    corpus = pack(TEXTS, bpe)
    assert corpus.n_bytes == sum(len(frame(text).encode()) for text in TEXTS)
    assert b"".join(bpe.pieces(corpus.symbols.tolist())) == "".join(map(frame, TEXTS)).encode()
    assert corpus.bytes_per_symbol == corpus.n_bytes / len(corpus.symbols) > 1
    assert corpus.symbols.dtype == np.uint16


def test_a_seed_orders_the_texts_and_loses_none() -> None:
    texts = [f"text {i}" for i in range(50)]
    codec = BytesCodec()
    first, again, other = (pack(texts, codec, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.symbols, again.symbols)
    assert bytes(first.symbols) != bytes(other.symbols)
    for corpus in (first, other):
        assert sorted(bytes(corpus.symbols).decode().split("\n")[1:]) == sorted(
            frame(text)[1:] for text in texts
        )


def test_nothing_to_pack_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no text to train on"):
        pack([], BytesCodec())


def test_an_empty_text_is_named_by_its_place() -> None:
    with pytest.raises(ValueError, match=r"text 2 \(.*\): the text is empty"):
        pack(["a", "b", " ", "c"], BytesCodec(), seed=3)


@given(length=st.integers(2, 300), batch=st.integers(1, 8), time=st.integers(1, 20), data=st.data())
def test_streams_predict_each_of_their_symbols_once_a_pass_and_in_order(
    length: int, batch: int, time: int, data: st.DataObject
) -> None:
    stream = length // batch
    corpus = counted(length)
    if stream < time + 1:
        with pytest.raises(ValueError, match=rf"needs at least {batch * (time + 1)}"):
            Streams(corpus, batch=batch, time=time)
        return
    streams = Streams(corpus, batch=batch, time=time)
    chunks = [streams.chunk(index) for index in range(streams.chunks_per_pass)]
    targets = np.concatenate([chunk.symbols[:, 1:].numpy() for chunk in chunks], axis=1)
    for row, predicted in enumerate(targets):
        np.testing.assert_array_equal(
            predicted, row * stream + 1 + np.arange(streams.chunks_per_pass * time)
        )
        assert stream - 1 - len(predicted) < time
    for before, after in zip(chunks, chunks[1:], strict=False):
        assert (after.symbols[:, 0] == before.symbols[:, -1]).all()
    assert [chunk.fresh for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    index = data.draw(st.integers(0, 5 * len(chunks)))
    again, first = streams.chunk(index), chunks[index % len(chunks)]
    assert (again.symbols == first.symbols).all()
    assert again.fresh == first.fresh

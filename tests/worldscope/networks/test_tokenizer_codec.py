"""The codec of a tokenizer places every token where it stands in the text."""

from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from worldscope.networks.tokenizer_codec import TokenizerCodec


def byte_level() -> TokenizerCodec:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["a good film, a good day", "é è ñ"] * 5, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return TokenizerCodec(
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=made, bos_token="<s>", eos_token="</s>"
        )
    )


CODEC = byte_level()
# What is written like a special token is read as one, which the second test is about.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), min_size=1)


@given(text=texts)
def test_pieces_join_to_the_text_and_places_are_in_order(text: str) -> None:
    found = CODEC.locate(text)
    assert found.special.tolist() == [True, *[False] * (len(found.symbols) - 2), True]
    own = [(s, a, b) for s, a, b, z in zip(*found, strict=True) if not z]
    assert b"".join(CODEC.pieces([symbol for symbol, _, _ in own])).decode() == text
    assert all(start <= end for _, start, end in own)
    assert [start for _, start, _ in own] == sorted(start for _, start, _ in own)
    covered = {place for _, start, end in own for place in range(start, end)}
    assert all(place in covered or text[place].isspace() for place in range(len(text)))
    for symbol, start, end in own:
        piece = CODEC.pieces([symbol])[0]
        assert piece in text[start:end].encode() or piece.strip() in text[start:end].encode()


def test_special_tokens_frame_a_whole_text_and_only_begin_an_open_one() -> None:
    assert CODEC.encode("a good")[0] == 0
    assert CODEC.encode("a good")[-1] == 1
    assert CODEC.encode("a good", end=False) == CODEC.encode("a good")[:-1]
    assert CODEC.encode("", end=False) == [0]
    assert CODEC.pieces([0]) == [b"<s>"]
    assert CODEC.decode(CODEC.encode("a good film")[1:-1]) == "a good film"


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="the text is empty"):
        CODEC.locate("")


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    slow: Any = Slow()
    with pytest.raises(ValueError, match="Slow is a slow tokenizer"):
        TokenizerCodec(slow)


def test_the_digest_is_of_what_is_read() -> None:
    assert CODEC.digest == byte_level().digest
    assert len(CODEC.digest) == 16

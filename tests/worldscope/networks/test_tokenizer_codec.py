"""The codec of a tokenizer places every token where it stands in the text."""

from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from worldscope.networks.codecs import NOWHERE
from worldscope.networks.tokenizer_codec import TokenizerCodec, load_tokenizer_codec


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


def word_pieces() -> TokenizerCodec:
    parts = ["[UNK]", "[CLS]", "[SEP]", "a", "good", "##est", "##", "film", "#"]
    made = Tokenizer(models.WordPiece({part: n for n, part in enumerate(parts)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return TokenizerCodec(
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=made, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
        )
    )


def test_word_pieces_stand_where_they_were_before_they_were_normalised() -> None:
    codec, text = word_pieces(), "  Goodest\tFILM é"
    symbols, starts, ends, special = codec.locate(text)
    assert symbols == [1, 4, 5, 7, 0, 2]
    assert special.tolist() == [True, False, False, False, False, True]
    places = [text[a:b] for a, b in zip(starts[1:-1], ends[1:-1], strict=True)]
    assert places == ["Good", "est", "FILM", "é"]
    assert codec.pieces([4, 5, 8]) == [b"good", b"est", b"#"]
    assert codec.encode("good", end=False) == [1, 4]


def test_tokens_that_split_a_character_share_its_place() -> None:
    symbols, starts, ends, special = CODEC.locate("a🎬")
    own = [(a, b) for a, b, z in zip(starts, ends, special, strict=True) if not z]
    assert own == [(0, 1), *[(1, 2)] * 4]
    assert b"".join(CODEC.pieces(symbols[2:-1])) == "🎬".encode()


def test_an_added_token_stands_for_its_own_text() -> None:
    codec = byte_level()
    codec.tokenizer.add_tokens(["ñandú", "  "])
    codec = TokenizerCodec(codec.tokenizer)
    symbols = codec.encode("a ñandú  day")
    assert codec.pieces(symbols[1:-1])[-3:-1] == ["ñandú".encode(), b"  "]
    assert b"".join(codec.pieces(symbols[1:-1])).decode() == "a ñandú  day"


def test_a_tokenizer_that_cuts_and_fills_up_is_read_whole() -> None:
    tokenizer = byte_level().tokenizer
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    codec = TokenizerCodec(tokenizer)
    assert codec.encode("a good film, a good day") == CODEC.encode("a good film, a good day")
    assert codec.digest == CODEC.digest


def test_it_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    CODEC.save(tmp_path)
    loaded = load_tokenizer_codec(tmp_path, 400)
    assert loaded.n_symbols == 400
    assert loaded.digest == CODEC.digest
    assert loaded.encode("a good café") == CODEC.encode("a good café")
    with pytest.raises(FileNotFoundError, match="holds no tokenizer"):
        load_tokenizer_codec(tmp_path / "none")


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


def test_the_alphabet_holds_every_symbol_and_those_without_a_token_are_known() -> None:
    gaps = {"a": 0, "b": 2, "c": 5}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(gaps, unk_token="a")), unk_token="a"
    )
    assert TokenizerCodec(tokenizer).n_symbols == 6
    padded = TokenizerCodec(tokenizer, 8)
    assert (padded.n_symbols, padded.unused) == (8, [1, 3, 4, 6, 7])
    assert padded.encode("c") == [5]
    assert TokenizerCodec(tokenizer, 6).n_symbols == 6
    with pytest.raises(
        ValueError, match=r"gives the symbol 5 \('c'\), and the network reads 0 to 4; give the tok"
    ):
        TokenizerCodec(tokenizer, 5)


def test_an_added_token_outside_of_the_network_is_refused() -> None:
    tokenizer = byte_level().tokenizer
    size = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    with pytest.raises(ValueError, match=rf"gives the symbol {size} \('<pad>'\)"):
        TokenizerCodec(tokenizer, size)
    assert TokenizerCodec(tokenizer, size + 1).unused == []


def test_a_token_that_the_tokenizer_places_on_nothing_is_nowhere() -> None:
    """With trim_offsets a space has an empty place."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=256,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([], trainer)
    codec = TokenizerCodec(transformers.PreTrainedTokenizerFast(tokenizer_object=made))
    found = codec.locate("a  b")
    assert found.starts.tolist() == [0, NOWHERE, NOWHERE, 3]
    assert found.ends.tolist() == [1, NOWHERE, NOWHERE, 4]
    assert not found.special.any()

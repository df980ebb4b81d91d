"""Facts about codecs: what a network reads is every byte of the framed text, and nothing else."""

import html
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldscope.networks.codecs import BPECodec, BytesCodec, Codec, clean, frame, load_codec

texts = st.text(st.characters(exclude_categories=["Cs"]))
visible = texts.filter(clean)


@pytest.fixture(params=["bytes", "bpe"], scope="module")
def codec(request: pytest.FixtureRequest, bpe: BPECodec) -> Codec:
    return {"bytes": BytesCodec(), "bpe": bpe}[request.param]


def preprocess(text: str) -> str:
    """The framing that Radford et al. describe and release: unescape, one line, pads."""
    return "\n " + html.unescape(text).replace("\n", " ").strip() + " "


@given(text=visible.filter(lambda text: not {"<", "&", "\r"} & set(text)))
def test_a_text_is_framed_as_in_the_paper_s_code(text: str) -> None:
    assert frame(text) == preprocess(text)


@pytest.mark.parametrize(
    ("text", "framed"),
    [
        ("Fine.", "\n Fine. "),
        ("  Fine.\n", "\n Fine. "),
        ("Tom &amp; Jerry &#39;46 &eacute;", "\n Tom & Jerry '46 é "),
        ("One.<br /><br />Two.<BR>Three.<br/>Four.", "\n One.  Two. Three. Four. "),
        ("One.\nTwo.\r\nThree.\rFour.\n\nFive.", "\n One. Two. Three. Four.  Five. "),
        ("One.&lt;br /&gt;Two.&#10;Three.", "\n One. Two. Three. "),
        ("2 < 3 and <b>bold</b>", "\n 2 < 3 and <b>bold</b> "),
    ],
)
def test_entities_breaks_and_outer_space_are_cleaned(text: str, framed: str) -> None:
    assert frame(text) == framed
    assert frame(text, end=False) == framed[:-1]


@given(text=texts)
def test_cleaning_leaves_one_line_without_outer_space(text: str) -> None:
    cleaned = clean(text)
    assert not {"\n", "\r"} & set(cleaned)
    assert cleaned == cleaned.strip()


@pytest.mark.parametrize("text", ["", "  ", "\n", "<br /> <br />", "&nbsp;", "\u2003"])
def test_a_text_without_a_visible_character_is_refused_unless_it_is_to_be_continued(
    codec: Codec, text: str
) -> None:
    with pytest.raises(ValueError, match="the text is empty; give at least one visible character"):
        codec.encode(text)
    assert codec.decode(codec.encode(text, end=False)).rstrip(" ") == "\n"


@settings(max_examples=50)
@given(text=visible)
def test_the_pieces_of_any_text_are_the_bytes_of_its_frame(codec: Codec, text: str) -> None:
    for end in (True, False):
        symbols = codec.encode(text, end=end)
        assert b"".join(codec.pieces(symbols)) == frame(text, end=end).encode()
        assert codec.decode(symbols) == frame(text, end=end)
        assert all(0 <= symbol < codec.n_symbols for symbol in symbols)


def test_an_open_text_begins_like_every_text_that_it_can_become(codec: Codec) -> None:
    """Even an empty one, whose front ends in the space that a byte-pair piece would bring."""
    whole = codec.encode("Dull film, and I left.")
    for prompt in ("", "Dull", "Dull film,", "Dull film, and I"):
        part = codec.encode(prompt, end=False)
        assert whole[: len(part)] == part


def test_an_unfinished_character_is_decoded_to_the_replacement_sign(codec: Codec) -> None:
    by_piece = {piece: symbol for symbol, piece in enumerate(codec.pieces(range(codec.n_symbols)))}
    first, second = (by_piece[bytes([byte])] for byte in "é".encode())
    assert codec.decode([first, second]) == "é"
    assert codec.decode([first]) == "\ufffd"


@pytest.mark.parametrize("end", [True, False])
def test_half_a_surrogate_pair_is_refused_in_words(codec: Codec, end: bool) -> None:
    with pytest.raises(ValueError, match=r"holds U\+D83D, half of a surrogate pair"):
        codec.encode("good \ud83d film", end=end)


def test_the_alphabet_holds_all_bytes_and_no_piece_twice(codec: Codec) -> None:
    pieces = codec.pieces(range(codec.n_symbols))
    assert {bytes([byte]) for byte in range(256)} <= set(pieces)
    assert len(set(pieces)) == len(pieces) == codec.n_symbols


def test_byte_pair_pieces_are_learned_from_framed_texts(bpe: BPECodec) -> None:
    text = "Dull, dull, dull; I left before the end."
    assert len(bpe.encode(text)) < 0.7 * len(frame(text))
    assert bpe.pieces(bpe.encode("end"))[0] == b"\n"


def test_learning_is_the_same_every_time() -> None:
    learned = [BPECodec.train(["good film", "bad film"] * 5, n_symbols=260) for _ in range(2)]
    assert learned[0].pieces(range(260)) == learned[1].pieces(range(260))


def test_pieces_stop_where_the_texts_give_no_more() -> None:
    assert 256 <= BPECodec.train(["ab"], n_symbols=4096).n_symbols < 270


def test_an_alphabet_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="n_symbols is 255; the 256 bytes alone need 256"):
        BPECodec.train(["ab"], n_symbols=255)


def test_a_saved_codec_reads_as_before(codec: Codec, tmp_path: Path) -> None:
    codec.save(tmp_path)
    again = load_codec(codec.name, tmp_path)
    assert again.n_symbols == codec.n_symbols
    assert again.encode("Naïve, but lovely.") == codec.encode("Naïve, but lovely.")


def test_an_unknown_codec_names_the_two(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no codec is called 'words'; choose bytes or bpe"):
        load_codec("words", tmp_path)


def test_a_missing_or_damaged_codec_says_which_file(bpe: BPECodec, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"codec\.json is missing; copy the whole folder"):
        load_codec("bpe", tmp_path)
    bpe.save(tmp_path)
    file = tmp_path / "codec.json"
    file.write_text(file.read_text()[:-100])
    with pytest.raises(ValueError, match=r"codec\.json holds no byte-pair codec .*; copy it again"):
        load_codec("bpe", tmp_path)

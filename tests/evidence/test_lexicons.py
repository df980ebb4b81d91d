from pathlib import Path

import pytest

from evidence.lexicons import OpinionLexicon, load_opinion_lexicon, words


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lists = tmp_path / "pang_lee"
    lists.mkdir()
    head = "; a comment: not a word\n;\n\n"
    (lists / "opinion_lexicon_positive-words.txt").write_bytes(
        (head + "good\nwell-made\nenvious\n").encode("latin-1")
    )
    (lists / "opinion_lexicon_negative-words.txt").write_bytes(
        (head + "bad\nna\xefve\nenvious\n").encode("latin-1")
    )
    return tmp_path


def test_hu_and_lius_files_are_latin_1_with_comments(folder: Path) -> None:
    lexicon = load_opinion_lexicon(folder)
    assert lexicon.positive == {"good", "well-made"}
    assert lexicon.negative == {"bad", "naïve"}


def test_the_real_lists_hold_what_their_readme_says(shared_data: Path) -> None:
    lexicon = load_opinion_lexicon(shared_data)
    assert (len(lexicon.positive), len(lexicon.negative)) == (2006 - 3, 4783 - 3)
    assert {"wonderful", "masterpiece"} <= lexicon.positive
    assert {"boring", "awful"} <= lexicon.negative


def test_without_data_vaders_words_go_by_the_sign_of_their_valence() -> None:
    lexicon = load_opinion_lexicon()
    assert {"great", "love", "wonderful"} <= lexicon.positive
    assert {"terrible", "boring", "hate"} <= lexicon.negative
    assert len(lexicon.positive) > 3000
    assert len(lexicon.negative) > 3500
    assert all(words(word) == [word] for word in lexicon.positive | lexicon.negative)


def test_a_folder_without_the_lists_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"positive-words.txt; give the folder"):
        load_opinion_lexicon(tmp_path)


def test_a_word_cannot_praise_and_blame() -> None:
    with pytest.raises(ValueError, match="'fine' is in both lists of mine"):
        OpinionLexicon("mine", frozenset({"fine"}), frozenset({"fine", "bad"}))


def test_words_keep_what_joins_them() -> None:
    assert words("It's a WELL-made film; 10/10 -- don\N{RIGHT SINGLE QUOTATION MARK}t!") == [
        "it's", "a", "well-made", "film", "don't",
    ]  # fmt: skip

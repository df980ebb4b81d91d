import numpy as np
import pytest

from evidence.judges import LexiconJudge, TfidfJudge
from evidence.lexicons import OpinionLexicon

FILLER = ["the film", "a plot", "its cast", "that ending", "this score"]


def reviews(random: np.random.Generator, n: int) -> tuple[list[str], np.ndarray]:
    """'not good' blames and 'good' praises, so that single words do not tell."""
    labels = random.integers(0, 2, size=n)
    verdicts = np.where(labels == 1, "really good", "not good")
    texts = [f"{random.choice(FILLER)} was {v} and {random.choice(FILLER)} ok" for v in verdicts]
    return texts, labels


def test_the_tfidf_judge_reads_word_pairs_of_texts_that_it_was_not_fitted_on() -> None:
    random = np.random.default_rng(0)
    judge = TfidfJudge.fit(*reviews(random, 300))
    texts, labels = reviews(random, 300)
    assert np.mean((judge.score(texts) > 0) == labels) > 0.99


def test_the_tfidf_judge_turns_round_with_its_labels() -> None:
    texts, labels = reviews(np.random.default_rng(0), 200)
    scores = TfidfJudge.fit(texts, labels).score(texts)
    assert TfidfJudge.fit(texts, 1 - labels).score(texts) == pytest.approx(-scores, abs=1e-3)


def test_judges_read_text_as_networks_do() -> None:
    texts, labels = reviews(np.random.default_rng(0), 200)
    plain, marked = "It was not good &", "  It<br />was\nnot good &amp; "
    lexicon = OpinionLexicon("mine", frozenset({"good"}), frozenset({"bad"}))
    for judge in (TfidfJudge.fit(texts, labels), LexiconJudge(lexicon)):
        one, other = judge.score([plain, marked])
        assert one == other


def test_labels_of_one_class_teach_nothing() -> None:
    with pytest.raises(ValueError, match="only 1: both 0 and 1 are needed"):
        TfidfJudge.fit(["good", "good"], np.array([1, 1]))


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Good, good and bad film", 1 / 5),
        ("bad bad", -1.0),
        ("good bad", 0.0),
        ("a film", 0.0),
        ("10/10", 0.0),
        ("", 0.0),
    ],
)
def test_the_lexicon_judge_counts_praise_minus_blame_for_each_word(text: str, score: float) -> None:
    lexicon = OpinionLexicon("mine", frozenset({"good"}), frozenset({"bad"}))
    assert LexiconJudge(lexicon).score([text]) == pytest.approx([score])
    assert LexiconJudge(lexicon).name == "mine"

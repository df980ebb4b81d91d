import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from evidence.raw_input import fit_raw_input


def marked(random: np.random.Generator, n: int) -> tuple[list[str], np.ndarray]:
    """Only the case of one letter tells: bytes see it, words in small letters do not."""
    labels = np.arange(n) % 2
    words = random.choice(["one", "two", "three", "four"], size=(n, 6))
    texts = [
        " ".join([*row[:3], "Mark" if label else "mark", *row[3:]])
        for row, label in zip(words, labels, strict=True)
    ]
    return texts, labels


@pytest.mark.parametrize(("ngrams", "accuracy"), [("bytes", 1.0), ("words", 0.5)])
def test_bytes_see_what_words_do_not(ngrams, accuracy: float) -> None:
    random = np.random.default_rng(0)
    train, dev, test = (marked(random, n) for n in (80, 40, 40))
    model = fit_raw_input(*train, *dev, ngrams=ngrams, strengths=(1.0, 16.0), bits=16)
    assert np.mean(model.predict(test[0]) == test[1]) == pytest.approx(accuracy, abs=0.2)
    assert model.ngrams == ngrams


def test_it_is_logistic_regression_on_tfidf_of_the_framed_text() -> None:
    random = np.random.default_rng(1)
    (train, labels), dev = marked(random, 40), marked(random, 20)
    model = fit_raw_input(train, labels, *dev, strengths=(4.0,), bits=18)
    counts = CountVectorizer(analyzer="char", ngram_range=(1, 5), lowercase=False)
    expected = make_pipeline(
        counts, TfidfTransformer(sublinear_tf=True), LogisticRegression(C=4.0, max_iter=1000)
    ).fit([f"\n {text} " for text in train], labels)
    scores = expected.decision_function([f"\n {text} " for text in dev[0]])
    assert model.scores(dev[0]) == pytest.approx(scores, abs=0.03), "but for a few collisions"


def test_the_smallest_of_equally_accurate_strengths_is_kept() -> None:
    random = np.random.default_rng(0)
    train, dev = marked(random, 80), marked(random, 40)
    model = fit_raw_input(*train, *dev, strengths=(256.0, 16.0, 64.0), bits=16)
    assert model.dev_scores == (1.0, 1.0, 1.0)
    assert model.strength == 16.0


def test_a_character_beyond_ascii_is_several_bytes() -> None:
    texts = ["é", "è"] * 20
    labels = np.arange(40) % 2
    model = fit_raw_input(texts, labels, texts, labels, strengths=(16.0,), bits=16)
    assert (model.predict(texts) == labels).all()
    # U+00E9 is 0xC3 0xA9, and 0xA9 is also the last byte of U+0169: bytes tie them together.
    assert model.predict(["ũ"]).tolist() == [0]


def test_words_of_any_alphabet_are_counted_whole() -> None:
    texts = ["плп", "лпл"] * 20
    labels = np.arange(40) % 2
    model = fit_raw_input(texts, labels, texts, labels, ngrams="words", strengths=(16.0,), bits=16)
    assert (model.predict(texts) == labels).all()


def test_labels_of_one_class_are_refused() -> None:
    with pytest.raises(ValueError, match="both 0 and 1 are needed"):
        fit_raw_input(["a", "b"], np.array([1, 1]), ["a", "b"], np.array([0, 1]))

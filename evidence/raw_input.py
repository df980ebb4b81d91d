"""The best linear model on what a network receives, without any network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int, Integer

from worldscope.measures import check_labels
from worldscope.networks.codecs import frame

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

STRENGTHS: tuple[float, ...] = tuple(4.0**power for power in range(-2, 5))
"""C from 1/16 to 256."""

Ngrams = Literal["bytes", "words"]
_ANALYSERS = {
    "bytes": {"analyzer": "char", "ngram_range": (1, 5), "lowercase": False},
    "words": {"analyzer": "word", "ngram_range": (1, 2)},
}


@dataclass(frozen=True, eq=False)
class RawInputModel:
    """Logistic regression on hashed TF-IDF n-grams."""

    vectoriser: "Pipeline" = field(repr=False)
    classifier: "LogisticRegression" = field(repr=False)
    ngrams: Ngrams
    """What is counted: byte 1-5-grams, or word 1-2-grams."""
    strength: float
    """Inverse strength of the penalty, scikit-learn's C, that was chosen on dev."""
    dev_scores: tuple[float, ...]
    """Accuracy on dev at every strength that was tried."""

    def scores(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """Log-odds of label 1."""
        rows = self.vectoriser.transform(_as_received(texts, self.ngrams))
        return self.classifier.decision_function(rows).astype(np.float64)

    def predict(self, texts: Sequence[str]) -> Int[np.ndarray, " n"]:
        """0 or 1 for each text."""
        return (self.scores(texts) > 0).astype(np.int64)


def fit_raw_input(
    train_texts: Sequence[str],
    train_labels: Integer[np.ndarray, " n"],
    dev_texts: Sequence[str],
    dev_labels: Integer[np.ndarray, " m"],
    *,
    ngrams: Ngrams = "bytes",
    strengths: Sequence[float] = STRENGTHS,
    bits: int = 20,
) -> RawInputModel:
    """Fits every strength on train and keeps the one that is most accurate on dev.

    Of equally accurate ones it is the smallest C. Texts are cleaned and framed as the network
    receives them. Memory: about 8 bytes for each different n-gram of each
    text, which for byte 1-5-grams is about 30 times the text.

    Args:
        train_texts: Texts to fit.
        train_labels: 0 or 1, both present.
        dev_texts: Texts to choose on.
        dev_labels: 0 or 1, both present.
        ngrams: bytes or words.
        strengths: Values of C.
        bits: n-grams are hashed to 2^bits columns.

    Raises:
        ValueError: If labels do not fit or hold one class.
    """
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    check_labels(train_labels, rows=len(train_texts))
    check_labels(dev_labels, rows=len(dev_texts))
    hashing = HashingVectorizer(
        **_ANALYSERS[ngrams],
        n_features=2**bits,
        norm=None,  # pyright: ignore[reportArgumentType]  # the stub is too narrow
        alternate_sign=False,
        dtype=np.float32,  # pyright: ignore[reportArgumentType]  # likewise
    )
    vectoriser = make_pipeline(hashing, TfidfTransformer(sublinear_tf=True))
    train = vectoriser.fit_transform(_as_received(train_texts, ngrams))
    dev = vectoriser.transform(_as_received(dev_texts, ngrams))
    fitted, accuracies = {}, {}
    for strength in sorted(strengths):
        fitted[strength] = LogisticRegression(C=strength, max_iter=1000).fit(train, train_labels)
        accuracies[strength] = float(np.mean(fitted[strength].predict(dev) == dev_labels))
    best = max(accuracies, key=lambda strength: (accuracies[strength], -strength))
    return RawInputModel(vectoriser, fitted[best], ngrams, best, tuple(accuracies.values()))


def _as_received(texts: Sequence[str], ngrams: Ngrams) -> list[str]:
    """Framed texts; for bytes with one character, U+0000 to U+00FF, for each."""
    framed = [frame(text) for text in texts]
    return framed if ngrams == "words" else [text.encode().decode("latin-1") for text in framed]

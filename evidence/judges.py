"""Judges of text: each gives a score that is higher the more the text praises.

A judge is given text and nothing else: it never reads the network under test.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Integer

from evidence.lexicons import OpinionLexicon, words
from worldscope.measures import check_labels
from worldscope.networks.codecs import clean

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@runtime_checkable
class Judge(Protocol):
    """Scores texts."""

    @property
    def name(self) -> str:
        """Name for tables."""
        ...

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """One number for each text, higher the more it praises."""
        ...


@dataclass(frozen=True, eq=False)
class TfidfJudge:
    """Logistic regression on the word 1-2-grams of a text; the score is the log-odds of praise."""

    pipeline: "Pipeline" = field(repr=False)
    """The fitted vectoriser and classifier."""
    name: str = "TF-IDF judge"

    @classmethod
    def fit(
        cls, texts: Sequence[str], labels: Integer[np.ndarray, " n"], *, c: float = 10.0
    ) -> "TfidfJudge":
        """Learns from labelled text that the network under test has no part in.

        Args:
            texts: Real texts.
            labels: 1 praises, 0 blames.
            c: Inverse strength of the L2 penalty, scikit-learn's C.

        Raises:
            ValueError: If labels do not fit or hold one class.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        check_labels(labels, rows=len(texts))
        vectoriser = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        pipeline = make_pipeline(vectoriser, LogisticRegression(C=c, max_iter=1000))
        return cls(pipeline.fit([clean(text) for text in texts], labels))

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """See `Judge.score`."""
        return self.pipeline.decision_function([clean(text) for text in texts]).astype(np.float64)


@dataclass(frozen=True)
class LexiconJudge:
    """(words that praise − words that blame) / words.

    Words are counted as often as they occur, negation is not understood, and a text without words
    of either list, or without words, scores 0: many short texts tie there.
    """

    lexicon: OpinionLexicon = field(repr=False)

    @property
    def name(self) -> str:
        """See `Judge.name`."""
        return self.lexicon.name

    def score(self, texts: Sequence[str]) -> Float[np.ndarray, " n"]:
        """See `Judge.score`."""
        return np.asarray([self._score(words(clean(text))) for text in texts], dtype=np.float64)

    def _score(self, found: list[str]) -> float:
        praise = sum(word in self.lexicon.positive for word in found)
        blame = sum(word in self.lexicon.negative for word in found)
        return (praise - blame) / max(1, len(found))

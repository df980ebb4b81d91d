"""Lists of opinion words."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

_WORD = re.compile(r"[a-z]+(?:['*-][a-z]+)*")


@dataclass(frozen=True)
class OpinionLexicon:
    """Words that praise and words that blame; no word does both."""

    name: str
    """Whose list it is."""
    positive: frozenset[str]
    negative: frozenset[str]

    def __post_init__(self) -> None:
        if both := self.positive & self.negative:
            raise ValueError(
                f"{min(both)!r} is in both lists of {self.name}: leave it out of one or of both"
            )


def load_opinion_lexicon(data: Path | None = None) -> OpinionLexicon:
    """Hu and Liu's lists where their files are at hand, else VADER's words by the sign of valence.

    Words that Hu and Liu list on both sides (such as "envious") are left out, and so is whatever in
    VADER is not one word of letters.

    Args:
        data: Folder that holds `pang_lee/opinion_lexicon_{positive,negative}-words.txt`; None
            takes VADER's lexicon, which is installed with this package.

    Raises:
        FileNotFoundError: If the folder is given and holds no such files.

    Source: Hu and Liu 2004, "Mining and summarizing customer reviews"; Hutto and Gilbert 2014,
    "VADER: a parsimonious rule-based model for sentiment analysis of social media text".
    """
    if data is None:
        return _vader()
    positive, negative = (_hu_liu_words(data, side) for side in ("positive", "negative"))
    return OpinionLexicon("Hu & Liu lexicon", positive - negative, negative - positive)


def words(text: str) -> list[str]:
    """The words of a text in small letters: letters, joined by ', * or - within."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def _hu_liu_words(data: Path, side: str) -> frozenset[str]:
    path = data / "pang_lee" / f"opinion_lexicon_{side}-words.txt"
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; give the folder that holds pang_lee/")
    lines = (line.strip() for line in path.read_text(encoding="latin-1").splitlines())
    return frozenset(line.lower() for line in lines if line and not line.startswith(";"))


def _vader() -> OpinionLexicon:
    text = (files("vaderSentiment") / "vader_lexicon.txt").read_text(encoding="utf-8")
    valence = {}
    for line in text.splitlines():
        if line.strip():
            word, mean, *_ = line.split("\t")
            valence[word.lower()] = float(mean)
    single = {word: mean for word, mean in valence.items() if _WORD.fullmatch(word)}
    return OpinionLexicon(
        "VADER lexicon",
        frozenset(word for word, mean in single.items() if mean > 0),
        frozenset(word for word, mean in single.items() if mean < 0),
    )

"""Codecs: text to symbols and back, as a network was trained to read it.

Every text is cleaned and framed as in Radford et al. 2017's released code: HTML entities unescaped,
each line break to a space, outer white space stripped, then `"\\n " + text + " "`. Each `<br />` is
a line break too, since reviews from the web hold them.
"""

import hashlib
import html
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from worldscope.runs.files import replacing

FRONT, END = "\n ", " "
_SURROGATE = re.compile("[\ud800-\udfff]")
_BREAK = re.compile(r"<br\s*/?>|\r\n|\r|\n", flags=re.IGNORECASE)
_ENTITY = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
NOWHERE = -1
"""Where a symbol begins and ends that stands for no character of the text."""


def clean(text: str) -> str:
    """Text on one line: entities unescaped, each `<br />` and line break to a space, stripped."""
    return _BREAK.sub(" ", html.unescape(text)).strip()


def frame(text: str, *, end: bool = True) -> str:
    """A cleaned text between the marks that separate reviews.

    Args:
        text: What to clean and frame.
        end: False leaves the text open to be continued; it may then be empty.

    Raises:
        ValueError: If nothing is left of a text that is to be read whole, or it holds half of a
            surrogate pair, which UTF-8 has no bytes for.
    """
    body = clean(text)
    if end and not body:
        raise ValueError("the text is empty; give at least one visible character")
    if lone := _SURROGATE.search(body):
        raise ValueError(
            f"the text holds U+{ord(lone.group()):04X}, half of a surrogate pair, "
            f"which UTF-8 cannot write; remove it"
        )
    return FRONT + body + (END if end else "")


def clean_places(text: str) -> Int[np.ndarray, "2 cleaned"]:
    """For every character of `clean(text)`, where those of the text that made it begin and end."""
    places = np.arange(len(text)) + np.array([[0], [1]])
    if clean(text) == text:
        return places
    unescaped, places = _substituted(text, places, _ENTITY, html.unescape)
    spaced, places = _substituted(unescaped, places, _BREAK, lambda _: " ")
    front = len(spaced) - len(spaced.lstrip())
    return places[:, front : front + len(spaced.strip())]


def _substituted(
    text: str,
    places: Int[np.ndarray, "2 n"],
    pattern: re.Pattern,
    become: Callable[[str], str],
) -> tuple[str, Int[np.ndarray, "2 m"]]:
    """A text with every match replaced, and where its characters came from."""
    parts, kept, end = [], [], 0
    for match in pattern.finditer(text):
        new = become(match.group())
        if new == match.group():
            continue
        parts += [text[end : match.start()], new]
        made_from = [[places[0, match.start()]], [places[1, match.end() - 1]]]
        kept += [places[:, end : match.start()], np.repeat(made_from, len(new), axis=1)]
        end = match.end()
    return "".join([*parts, text[end:]]), np.concatenate([*kept, places[:, end:]], axis=1)


class Encoding(NamedTuple):
    """A text as symbols, and where each of them stands in the text."""

    symbols: list[int]
    starts: Int[np.ndarray, " symbols"]
    """First character of the text that each symbol stands for, or `NOWHERE`."""
    ends: Int[np.ndarray, " symbols"]
    """One past the last character, or `NOWHERE`."""
    special: Bool[np.ndarray, " symbols"]
    """Whether a symbol was added by the codec, and stands for nothing in the text."""


@contextmanager
def naming_text(texts: Sequence[str], index: int) -> Iterator[None]:
    """Says of a `ValueError` in the block which text it is about, and how that begins."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"text {index} ({texts[index]!r:.40}): {error}") from None


class Codec(ABC):
    """Turns text into symbols and back."""

    name: str
    """`bytes` or `bpe`; stored in a network's configuration."""
    n_symbols: int
    """Size of the alphabet; symbols are 0 … n_symbols − 1."""

    @abstractmethod
    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """Symbols of a text after `frame`, whose arguments and errors these are."""

    @abstractmethod
    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """The bytes that each symbol stands for."""

    def piece_lengths(self, symbols: Sequence[int]) -> Int[np.ndarray, " symbols"]:
        """How many bytes each symbol stands for."""
        return np.array([len(piece) for piece in self.pieces(symbols)])

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Writes what `load_codec` needs."""

    def locate(self, text: str) -> Encoding:
        """Symbols of a text and where they stand in it, as it was before `clean`.

        Raises:
            ValueError: See `frame`.
        """
        return self._located(text, self.encode(text))

    def locate_all(self, texts: Sequence[str]) -> list[Encoding]:
        """What `locate` gives for each text."""
        return [self.locate(text) for text in texts]

    def _located(self, text: str, symbols: list[int]) -> Encoding:
        ends = np.cumsum(self.piece_lengths(symbols))
        first, last = _byte_places(text)
        starts = np.minimum.reduceat(first, np.concatenate([[0], ends[:-1]]))
        places = np.maximum.reduceat(last, np.concatenate([[0], ends[:-1]]))
        nowhere = places == NOWHERE
        return Encoding(symbols, np.where(nowhere, NOWHERE, starts), places, nowhere)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits: equal exactly when texts become the same symbols."""
        return hashlib.sha256(self.specification().encode()).hexdigest()[:16]

    @abstractmethod
    def specification(self) -> str:
        """All that decides how texts become symbols."""

    def check(self, name: str, n_symbols: int) -> None:
        """Raises:
        ValueError: If this is not the codec that a network's configuration names.
        """
        if (name, n_symbols) != (self.name, self.n_symbols):
            raise ValueError(
                f"the configuration asks for {n_symbols} symbols of {name}, "
                f"but the codec has {self.n_symbols} of {self.name}"
            )

    def decode(self, symbols: Sequence[int]) -> str:
        """Text of the symbols; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self.pieces(symbols)).decode(errors="replace")


class BytesCodec(Codec):
    """UTF-8 bytes, one symbol each (Radford et al. 2017)."""

    name = "bytes"
    n_symbols = 256

    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """See `Codec.encode`."""
        return list(frame(text, end=end).encode())

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """See `Codec.pieces`."""
        return [bytes([symbol]) for symbol in symbols]

    def save(self, folder: Path) -> None:
        """Bytes need no file."""

    def specification(self) -> str:
        """See `Codec.specification`."""
        return self.name


class BPECodec(Codec):
    """Byte-level byte-pair encoding (Sennrich et al. 2016), through Hugging Face `tokenizers`."""

    name = "bpe"

    def __init__(self, specification: str):
        """Args:
        specification: The JSON of a `tokenizers.Tokenizer` with byte-level pieces.
        """
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(specification)
        symbol_of_piece = self._tokenizer.get_vocab()
        to_byte = byte_of_character()
        self._pieces = [
            bytes(to_byte[character] for character in piece)
            for piece in sorted(symbol_of_piece, key=symbol_of_piece.__getitem__)
        ]
        self._lengths = np.array([len(piece) for piece in self._pieces])
        self.n_symbols = len(self._pieces)

    @classmethod
    def train(cls, texts: Iterable[str], *, n_symbols: int = 4096) -> "BPECodec":
        """Learns the pieces from texts; all 256 bytes are among them, so any text can be read.

        Args:
            texts: What to learn from.
            n_symbols: Largest number of pieces; few or short texts may give fewer.

        Raises:
            ValueError: If `n_symbols` leaves no room for the bytes.
        """
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        if n_symbols < 256:
            raise ValueError(f"n_symbols is {n_symbols}; the 256 bytes alone need 256")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=n_symbols,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator((frame(text) for text in texts), trainer)
        return cls(tokenizer.to_str())

    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """See `Codec.encode`; an open text ends before a space, for a piece brings its own."""
        framed = frame(text, end=end)
        return self._tokenizer.encode(framed if end else framed.rstrip(" ")).ids

    def locate_all(self, texts: Sequence[str]) -> list[Encoding]:
        """See `Codec.locate_all`; texts are encoded on all processors."""
        encoded = self._tokenizer.encode_batch_fast([frame(text) for text in texts])
        return [self._located(text, one.ids) for text, one in zip(texts, encoded, strict=True)]

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """See `Codec.pieces`."""
        return [self._pieces[symbol] for symbol in symbols]

    def piece_lengths(self, symbols: Sequence[int]) -> Int[np.ndarray, " symbols"]:
        """See `Codec.piece_lengths`."""
        return self._lengths[symbols]

    def save(self, folder: Path) -> None:
        """Writes `codec.json`."""
        with replacing(folder / "codec.json") as file:
            file.write_text(self.specification(), encoding="utf-8")

    def specification(self) -> str:
        """See `Codec.specification`."""
        return self._tokenizer.to_str()


def load_codec(name: str, folder: Path) -> Codec:
    """The codec of a network's folder.

    Raises:
        FileNotFoundError: If its file is missing.
        ValueError: If the name is not one of ours, or its file is damaged.
    """
    if name == BytesCodec.name:
        return BytesCodec()
    if name != BPECodec.name:
        raise ValueError(f"no codec is called {name!r}; choose bytes or bpe")
    file = folder / "codec.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; copy the whole folder of the network")
    try:
        return BPECodec(file.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises no narrower one
        raise ValueError(f"{file} holds no byte-pair codec ({error}); copy it again") from None


def _byte_places(text: str) -> tuple[Int[np.ndarray, " bytes"], Int[np.ndarray, " bytes"]]:
    """Where the character behind every byte of a framed text begins and ends in the text.

    A byte of the frame begins after everything and ends before it.
    """
    body, places = clean(text), clean_places(text)
    if not body.isascii():
        places = np.repeat(places, [len(character.encode()) for character in body], axis=1)
    framed = np.empty((2, len(FRONT) + places.shape[1] + len(END)), dtype=np.int64)
    framed[:] = [[np.iinfo(np.int64).max], [NOWHERE]]
    framed[:, len(FRONT) : len(FRONT) + places.shape[1]] = places
    return framed[0], framed[1]


def byte_of_character() -> dict[str, int]:
    """The byte that each character of byte-level BPE stands for (GPT-2's printable alphabet)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    shifted = {chr(256 + position): byte for position, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted

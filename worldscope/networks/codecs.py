"""Codecs: text to symbols and back, as a network was trained to read it.

Every text is cleaned and framed as in Radford et al. 2017's released code: HTML entities unescaped,
`<br />` and line breaks to spaces, outer white space stripped, then `"\\n " + text + " "`.
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

FRONT, END = "\n ", " "
_BREAKS = re.compile(r"<br\s*/?>|[\r\n]+", flags=re.IGNORECASE)


def clean(text: str) -> str:
    """Review text on one line: entities unescaped, `<br />` and line breaks to spaces."""
    return _BREAKS.sub(" ", html.unescape(text)).strip()


class Codec(Protocol):
    """Turns text into symbols and back."""

    name: str
    """`bytes` or `bpe`; stored in a network's configuration."""
    n_symbols: int
    """Size of the alphabet; symbols are 0 … n_symbols − 1."""

    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """Symbols of a cleaned and framed text; `end=False` leaves it open to be continued."""
        ...

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """The bytes that each symbol stands for."""
        ...

    def decode(self, symbols: Sequence[int]) -> str:
        """Text of the symbols; bytes that are not UTF-8 become U+FFFD."""
        ...

    def save(self, folder: Path) -> None:
        """Writes what is needed to load the codec again."""
        ...


def frame(text: str, *, end: bool = True) -> str:
    """A cleaned text between the marks that separate reviews.

    Raises:
        ValueError: If nothing is left of a text that is to be read whole.
    """
    body = clean(text)
    if end and not body:
        raise ValueError("the text is empty; give at least one visible character")
    return FRONT + body + (END if end else "")


class BytesCodec:
    """UTF-8 bytes, one symbol each (Radford et al. 2017)."""

    name = "bytes"
    n_symbols = 256

    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """See `Codec.encode`."""
        return list(frame(text, end=end).encode())

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """See `Codec.pieces`."""
        return [bytes([symbol]) for symbol in symbols]

    def decode(self, symbols: Sequence[int]) -> str:
        """See `Codec.decode`."""
        return bytes(symbols).decode(errors="replace")

    def save(self, folder: Path) -> None:
        """Bytes need no file."""


class BPECodec:
    """Byte-level byte-pair encoding (Sennrich et al. 2016), through Hugging Face `tokenizers`."""

    name = "bpe"

    def __init__(self, specification: str):
        """Args:
        specification: The JSON of a `tokenizers.Tokenizer` with byte-level pieces.
        """
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(specification)
        self.n_symbols = self._tokenizer.get_vocab_size()
        to_byte = _byte_of_character()
        self._pieces = [
            bytes(to_byte[character] for character in self._tokenizer.id_to_token(symbol))
            for symbol in range(self.n_symbols)
        ]

    @classmethod
    def train(cls, texts: Iterable[str], *, n_symbols: int = 4096) -> "BPECodec":
        """Learns the pieces from texts; all 256 bytes are among them, so any text can be read."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

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
        """See `Codec.encode`."""
        return self._tokenizer.encode(frame(text, end=end)).ids

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """See `Codec.pieces`."""
        return [self._pieces[symbol] for symbol in symbols]

    def decode(self, symbols: Sequence[int]) -> str:
        """See `Codec.decode`."""
        return b"".join(self.pieces(symbols)).decode(errors="replace")

    def save(self, folder: Path) -> None:
        """Writes `codec.json`."""
        (folder / "codec.json").write_text(self._tokenizer.to_str(), encoding="utf-8")


def load_codec(name: str, folder: Path) -> Codec:
    """The codec of a network's folder.

    Raises:
        ValueError: If the name is not one of ours.
    """
    if name == BytesCodec.name:
        return BytesCodec()
    if name == BPECodec.name:
        return BPECodec((folder / "codec.json").read_text(encoding="utf-8"))
    raise ValueError(f"no codec is called {name!r}; choose bytes or bpe")


def encode_all(codec: Codec, texts: Iterable[str]) -> Iterator[list[int]]:
    """Symbols of each text, in order."""
    return (codec.encode(text) for text in texts)


def _byte_of_character() -> dict[str, int]:
    """The byte that each character of byte-level BPE stands for (GPT-2's printable alphabet)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    shifted = {chr(256 + position): byte for position, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted

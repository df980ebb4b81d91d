"""The codec of a Hugging Face tokenizer, and none where a network comes without one."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worldscope.networks.codecs import NOWHERE, Codec, Encoding, byte_of_character

_FILES = ("tokenizer*", "vocab.*", "spiece.model")
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenizerCodec(Codec):
    """Reads text as a fast Hugging Face tokenizer does, its special tokens included."""

    name = "tokenizer"
    unused: list[int]
    """Symbols of the network's alphabet that stand for no token."""

    def __init__(self, tokenizer: Any, n_symbols: int | None = None):
        """Args:
        tokenizer: A fast tokenizer of `transformers`.
        n_symbols: Size of the network's alphabet, where it is larger than the tokenizer's.

        Raises:
            ValueError: If the tokenizer is a slow one, which does not say where its tokens stand,
                or gives symbols that are outside the network's alphabet.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"{type(tokenizer).__name__} is a slow tokenizer, which does not say where its "
                "tokens stand in a text; load it with use_fast=True"
            )
        self.tokenizer = tokenizer
        self._reader = _whole(tokenizer.backend_tokenizer)
        token_of = {symbol: token for token, symbol in self._reader.get_vocab().items()}
        last = max(token_of)
        self.n_symbols = n_symbols or last + 1
        if last >= self.n_symbols:
            raise ValueError(
                f"the tokenizer gives the symbol {last} ({token_of[last]!r}), and the network "
                f"reads 0 to {self.n_symbols - 1}; give the tokenizer that it was trained with, or "
                "enlarge its embedding"
            )
        self.unused = sorted(set(range(self.n_symbols)) - token_of.keys())
        self._added = frozenset(tokenizer.get_added_vocab())
        self._joins = _joins(self.specification())
        self._to_byte = byte_of_character() if "ByteLevel" in self._joins else None

    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """Symbols of a text; one that is to be continued has no special tokens behind it."""
        located = self.locate(text) if text else Encoding(*self._encoded(text))
        symbols, special = list(located.symbols), list(located.special)
        while not end and len(symbols) > 1 and special[-1]:
            symbols.pop()
            special.pop()
        if not symbols:
            raise ValueError("the text is empty; give at least one visible character")
        return symbols

    def locate(self, text: str) -> Encoding:
        """Symbols of a text and where they stand in it.

        Raises:
            ValueError: If the text is empty.
        """
        found = Encoding(*self._encoded(text))
        if not text or not len(found.symbols) or found.special.all():
            raise ValueError("the text is empty; give at least one visible character")
        return found

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """The bytes that each symbol stands for; a special token's own name."""
        return [self._bytes(t or "") for t in self.tokenizer.convert_ids_to_tokens(list(symbols))]

    def decode(self, symbols: Sequence[int]) -> str:
        """Text of the symbols, as the tokenizer joins them."""
        return self.tokenizer.decode(list(symbols), clean_up_tokenization_spaces=False)

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's own files."""
        self.tokenizer.save_pretrained(folder)

    def specification(self) -> str:
        """See `Codec.specification`."""
        return self._reader.to_str()

    def _encoded(self, text: str) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
        encoding = self._reader.encode(text)
        special = np.array(encoding.special_tokens_mask, dtype=bool)
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        offsets[special | (offsets[:, 0] == offsets[:, 1])] = NOWHERE
        return encoding.ids, offsets[:, 0], offsets[:, 1], special

    def _bytes(self, token: str) -> bytes:
        if token in self._added:
            return token.encode()
        if self._to_byte is not None:
            return bytes(self._to_byte[character] for character in token)
        if byte := _BYTE.fullmatch(token):
            return bytes.fromhex(byte.group(1))
        if "WordPiece" in self._joins:
            return token.removeprefix(self._joins["WordPiece"]["prefix"]).encode()
        return token.replace("▁", " ").encode()


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder of Hugging Face; None if it holds none."""
    if not any(any(folder.glob(names)) for names in _FILES):
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def load_tokenizer_codec(folder: str | Path, n_symbols: int | None = None) -> TokenizerCodec:
    """The codec that `TokenizerCodec.save`, or Hugging Face, wrote into a folder.

    Args:
        folder: Holds `tokenizer.json`, or the files of an older tokenizer.
        n_symbols: See `TokenizerCodec`.

    Raises:
        FileNotFoundError: If there is no tokenizer.
    """
    tokenizer = read_tokenizer(Path(folder))
    if tokenizer is None:
        raise FileNotFoundError(f"{folder} holds no tokenizer: tokenizer.json is missing")
    return TokenizerCodec(tokenizer, n_symbols)


def _whole(backend: Any) -> Any:
    """A copy of a tokenizer that neither cuts nor fills up texts."""
    copied = type(backend).from_str(backend.to_str())
    copied.no_truncation()
    copied.no_padding()
    return copied


def _joins(specification: str) -> dict[str, dict[str, Any]]:
    """The steps by which tokens are joined to a text, by their type."""
    decoder = json.loads(specification).get("decoder") or {}
    return {step["type"]: step for step in [decoder, *decoder.get("decoders", ())] if step}


class NoCodec(Codec):
    """For a network without a tokenizer: it is given symbols."""

    name = "none"

    def __init__(self, n_symbols: int):
        """Args:
        n_symbols: Size of the alphabet.
        """
        self.n_symbols = n_symbols

    def encode(self, text: str, *, end: bool = True) -> list[int]:
        """Raises:
        ValueError: Always.
        """
        raise ValueError(
            "this network has no tokenizer: give symbols (whole numbers), or load it with "
            "tokenizer=..."
        )

    def pieces(self, symbols: Sequence[int]) -> list[bytes]:
        """The number of each symbol, in brackets."""
        return [f"[{symbol}]".encode() for symbol in symbols]

    def save(self, folder: Path) -> None:
        """There is nothing to write."""

    def specification(self) -> str:
        """See `Codec.specification`."""
        return f"none {self.n_symbols}"

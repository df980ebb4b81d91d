"""A training text as one long row of symbols, cut into contiguous streams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Integer
from torch import Tensor

from worldscope.networks.codecs import Codec, naming_text


@dataclass(frozen=True)
class Corpus:
    """Encoded texts, one after the other."""

    symbols: Integer[np.ndarray, " n"]
    """All symbols, in the smallest unsigned type that holds them."""
    n_bytes: int
    """Bytes of the framed texts: the denominator of bits per byte."""

    @property
    def bytes_per_symbol(self) -> float:
        """Mean number of bytes that a symbol stands for."""
        return self.n_bytes / len(self.symbols)


def pack(texts: Sequence[str], codec: Codec, *, seed: int | None = None) -> Corpus:
    """Encodes texts and joins them, in an order drawn from `seed`, or as given if None.

    Raises:
        ValueError: If there is no text, or one is empty; its index is given.
    """
    if not texts:
        raise ValueError("there is no text to train on; give at least one")
    order = list(range(len(texts)))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    dtype = np.min_scalar_type(codec.n_symbols - 1)
    symbols = np.concatenate([_encoded(texts, index, codec).astype(dtype) for index in order])
    widths = np.asarray([len(piece) for piece in codec.pieces(range(codec.n_symbols))])
    return Corpus(symbols, int(widths[symbols].sum()))


class Chunk(NamedTuple):
    """The next piece of every stream."""

    symbols: Int[Tensor, "batch length"]
    """(batch, time + 1): the last symbol is the first of the next chunk."""
    fresh: bool
    """Whether the streams begin anew here, so that the carried state must be zero."""


class Streams:
    """`batch` contiguous streams over a corpus; chunk k is a pure function of k."""

    def __init__(self, corpus: Corpus, *, batch: int, time: int):
        """Cuts a corpus; what does not fill a stream or its last chunk is left out.

        Args:
            corpus: What to cut.
            batch: Number of streams.
            time: Symbols of each stream in a chunk.

        Raises:
            ValueError: If the corpus is shorter than one chunk of every stream.
        """
        length = len(corpus.symbols) // batch
        self.chunks_per_pass = (length - 1) // time
        if self.chunks_per_pass < 1:
            raise ValueError(
                f"the text has {len(corpus.symbols)} symbols; batch {batch} × chunk {time} "
                f"needs at least {batch * (time + 1)}"
            )
        self.time = time
        self._rows = corpus.symbols[: batch * length].reshape(batch, length)

    def chunk(self, index: int) -> Chunk:
        """Chunk `index`, counted from the start of training, passes included."""
        within = index % self.chunks_per_pass
        start = within * self.time
        rows = self._rows[:, start : start + self.time + 1].astype(np.int64)
        return Chunk(torch.from_numpy(rows), fresh=within == 0)


def _encoded(texts: Sequence[str], index: int, codec: Codec) -> Int[np.ndarray, " n"]:
    with naming_text(texts, index):
        return np.asarray(codec.encode(texts[index]))

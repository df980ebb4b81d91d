"""Reading the states of many texts, at the speed of the forward pass.

Texts are sorted by length and read in batches, chunk by chunk of time; a text leaves its batch when
it ends, so that no step is spent on padding beyond a chunk. Chunks are short: what a step needs
then stays in the processor's cache, and the allocator hands out the same memory again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from tqdm.auto import tqdm

from worldscope.networks.codecs import naming_text
from worldscope.networks.language_model import LanguageModel

POSITIONS = ("final", "mean")
"""What the states of a text are reduced to: the last one, or the mean over all symbols."""


@dataclass(frozen=True)
class StateChunk:
    """States of some texts over some of their symbols."""

    rows: Int[np.ndarray, " b"]
    """Which texts, as indices into the input."""
    start: int
    """Time of the first symbol of the chunk."""
    counts: Int[np.ndarray, " b"]
    """How many of the chunk's steps belong to each text; the rest is padding."""
    symbols: Int[Tensor, "b time"]
    """What was read."""
    acts: dict[str, Float[Tensor, "b time d"]]
    """Activations by hook name."""

    def mask(self) -> Bool[Tensor, "b time"]:
        """True where a step belongs to its text."""
        times = torch.arange(self.symbols.shape[1])
        return times < torch.from_numpy(self.counts).unsqueeze(1)

    def last(self, hook: str) -> Float[np.ndarray, "b d"]:
        """Activations after the last symbol of each text in this chunk."""
        return self.acts[hook][torch.arange(len(self.counts)), self.counts - 1].cpu().numpy()

    def total(self, hook: str) -> Float[np.ndarray, "b d"]:
        """Sum of the activations over the symbols of each text in this chunk."""
        acts = self.acts[hook]
        return torch.einsum("bt,btd->bd", self.mask().to(acts), acts).cpu().numpy()


def stream_states(
    network: LanguageModel,
    texts: Sequence[str],
    hooks: str | Sequence[str],
    *,
    batch: int = 256,
    chunk: int = 16,
    progress: bool = False,
) -> Iterator[StateChunk]:
    """Yields the states of texts chunk by chunk; every symbol of every text occurs exactly once.

    Args:
        network: What to read.
        texts: What it receives.
        hooks: Hook names, or one.
        batch: Texts read together.
        chunk: Steps read together: bounds the memory to batch × chunk × d for each hook.
        progress: Show a progress bar in symbols.

    Raises:
        ValueError: If there is no text, one is empty, or `batch` or `chunk` is under 1.
        LookupError: If a hook is unknown.
    """
    if batch < 1 or chunk < 1:
        raise ValueError(f"batch is {batch} and chunk {chunk}; both must be at least 1")
    names = network.hook_names(hooks)
    for name in names:
        if network.hook_dict[name].axes != ("batch", "time", "d"):
            axes = ", ".join(network.hook_dict[name].axes)
            raise ValueError(f"{name} has the axes ({axes}); states are (batch, time, d)")
    encoded = encode_texts(network, texts)
    lengths = np.asarray([len(symbols) for symbols in encoded])
    order = np.argsort(-lengths, kind="stable")
    bar = tqdm(
        total=lengths.sum(), desc="reading", unit="symbol", unit_scale=True, disable=not progress
    )
    with bar:
        for first in range(0, len(order), batch):
            for part in _stream_batch(network, encoded, order[first : first + batch], names, chunk):
                yield part
                bar.update(int(part.counts.sum()))


def read_states(
    network: LanguageModel,
    texts: Sequence[str],
    hooks: str | Sequence[str] = "hook_c",
    positions: str | Sequence[str] = POSITIONS,
    *,
    batch: int = 256,
    progress: bool = False,
) -> dict[tuple[str, str], Float[np.ndarray, "n d"]]:
    """The states of each text, reduced to one row.

    The sentiment neuron's paper reads the cell state, so that is the default.

    Args:
        network: What to read.
        texts: What it receives.
        hooks: Hook names, or one.
        positions: Some of `final` and `mean`, or one.
        batch: Texts read together.
        progress: Show a progress bar.

    Returns:
        A float32 array of shape (texts, d) for every (canonical hook name, position).

    Raises:
        ValueError: If a position is unknown, there is no text, one is empty, or `batch` is
            under 1.
        LookupError: If a hook is unknown.
        FloatingPointError: If a state is not a number.
    """
    positions = [positions] if isinstance(positions, str) else positions
    for position in positions:
        if position not in POSITIONS:
            raise ValueError(f"no position is called {position!r}; choose {', '.join(POSITIONS)}")
    names = network.hook_names(hooks)
    reduced = {
        (name, position): np.zeros((len(texts), network.hook_dict[name].width))
        for name in names
        for position in positions
    }
    counts = np.zeros(len(texts), dtype=np.int64)
    for part in stream_states(network, texts, names, batch=batch, progress=progress):
        counts[part.rows] += part.counts
        for (name, position), rows in reduced.items():
            if position == "final":
                rows[part.rows] = part.last(name)
            else:
                rows[part.rows] += part.total(name)
    for (name, position), rows in reduced.items():
        if position == "mean":
            rows /= counts[:, None]
        _check_finite(rows, name)
    return {place: rows.astype(np.float32) for place, rows in reduced.items()}


def encode_texts(network: LanguageModel, texts: Sequence[str]) -> list[list[int]]:
    """Symbols of every text.

    Raises:
        ValueError: If there is no text, or one is empty; its index is given. Also for one string,
            which would be read as a text for each character.
    """
    if isinstance(texts, str):
        raise ValueError(f"the texts are one string, {texts!r:.60}; give a list of texts")
    if not texts:
        raise ValueError("there is no text to read; give at least one")
    encoded = []
    for index, text in enumerate(texts):
        with naming_text(texts, index):
            encoded.append(network.encode(text))
    return encoded


def _stream_batch(
    network: LanguageModel,
    encoded: Sequence[Sequence[int]],
    rows: Int[np.ndarray, " b"],
    names: Sequence[str],
    chunk: int,
) -> Iterator[StateChunk]:
    texts = [torch.tensor(encoded[row]) for row in rows]
    lengths = np.asarray([len(text) for text in texts])
    symbols = pad_sequence(texts, batch_first=True)
    for start, end, reads in network.stream_reads(symbols, lengths, names, chunk=chunk):
        alive = int((lengths > start).sum())
        counts = np.minimum(lengths[:alive], end) - start
        yield StateChunk(rows[:alive], start, counts, symbols[:alive, start:end], reads)


def _check_finite(acts: Float[np.ndarray, "n d"], name: str) -> None:
    bad = np.argwhere(~np.isfinite(acts))
    if len(bad):
        row, unit = bad[0]
        raise FloatingPointError(
            f"{name} unit {unit} is {acts[row, unit]} for text {row}; "
            "the weights have diverged or are damaged"
        )

"""Reading the states of many texts, at the speed of the forward pass.

Texts are sorted by length and read in batches, chunk by chunk of time; a text leaves its batch when
it ends, so that no step is spent on padding beyond a chunk.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldscope.networks.mlstm import MLSTM

POSITIONS = ("final", "mean")
"""What a text's states are reduced to: those after the last symbol, or the mean over all symbols."""


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

    def mask(self) -> Tensor:
        """(b, time): true where a step belongs to its text."""
        times = torch.arange(self.symbols.shape[1])
        return times < torch.from_numpy(self.counts).unsqueeze(1)


def stream_states(
    network: MLSTM,
    texts: Sequence[str],
    hooks: Sequence[str],
    *,
    batch: int = 128,
    chunk: int = 256,
    progress: bool = False,
) -> Iterator[StateChunk]:
    """Yields the states of texts chunk by chunk; every symbol of every text occurs exactly once.

    Args:
        network: What to read.
        texts: What it receives.
        hooks: Hook names.
        batch: Texts read together.
        chunk: Steps read together: bounds the memory to batch × chunk × d for each hook.
        progress: Show a progress bar in bytes.

    Raises:
        ValueError: If there is no text, or one is empty.
        LookupError: If a hook is unknown.
    """
    names = [network.hook_name(hook) for hook in hooks]
    encoded = encode_texts(network, texts)
    lengths = np.asarray([len(symbols) for symbols in encoded])
    order = np.argsort(-lengths, kind="stable")
    with _bar(int(lengths.sum()), progress) as advance:
        for first in range(0, len(order), batch):
            for part in _stream_batch(network, encoded, order[first : first + batch], names, chunk):
                yield part
                advance(int(part.counts.sum()))


def read_states(
    network: MLSTM,
    texts: Sequence[str],
    hooks: Sequence[str] = ("hook_c",),
    positions: Sequence[str] = POSITIONS,
    *,
    batch: int = 128,
    progress: bool = False,
) -> dict[tuple[str, str], Float[np.ndarray, "n d"]]:
    """The states of each text, reduced to one row.

    The sentiment neuron's paper reads the cell state, so that is the default.

    Args:
        network: What to read.
        texts: What it receives.
        hooks: Hook names.
        positions: Some of `final` and `mean`.
        batch: Texts read together.
        progress: Show a progress bar.

    Returns:
        A float32 array of shape (texts, d) for every (canonical hook name, position).

    Raises:
        ValueError: If a position is unknown, or a text is empty.
        FloatingPointError: If a state is not a number.
    """
    for position in positions:
        if position not in POSITIONS:
            raise ValueError(f"no position is called {position!r}; choose {', '.join(POSITIONS)}")
    names = [network.hook_name(hook) for hook in hooks]
    widths = {name: network.hook_dict[name].width for name in names}
    sums = {name: np.zeros((len(texts), widths[name])) for name in names}
    finals = {name: np.zeros((len(texts), widths[name]), dtype=np.float32) for name in names}
    counts = np.zeros(len(texts), dtype=np.int64)
    for part in stream_states(network, texts, names, batch=batch, progress=progress):
        counts[part.rows] += part.counts
        mask = part.mask().unsqueeze(2)
        last = torch.from_numpy(part.counts - 1)
        for name, acts in part.acts.items():
            acts = acts.cpu()
            if "mean" in positions:
                sums[name][part.rows] += torch.where(mask, acts, 0.0).sum(dim=1, dtype=torch.float64).numpy()
            finals[name][part.rows] = acts[torch.arange(len(last)), last].numpy()
    results = {}
    for name in names:
        reduced = {"final": finals[name], "mean": (sums[name] / counts[:, None]).astype(np.float32)}
        for position in positions:
            _check_finite(reduced[position], name)
            results[name, position] = reduced[position]
    return results


def encode_texts(network: MLSTM, texts: Sequence[str]) -> list[list[int]]:
    """Symbols of every text.

    Raises:
        ValueError: If there is no text, or one is empty; its index is given.
    """
    if not texts:
        raise ValueError("there is no text to read; give at least one")
    encoded = []
    for index, text in enumerate(texts):
        try:
            encoded.append(network.encode(text))
        except ValueError as error:
            raise ValueError(f"text {index}: {error}") from None
    return encoded


def _stream_batch(
    network: MLSTM,
    encoded: Sequence[Sequence[int]],
    rows: Int[np.ndarray, " b"],
    names: Sequence[str],
    chunk: int,
) -> Iterator[StateChunk]:
    lengths = np.asarray([len(encoded[row]) for row in rows])
    state = network.zero_state(len(rows))
    for start in range(0, int(lengths[0]), chunk):
        alive = int((lengths > start).sum())
        counts = np.minimum(lengths[:alive] - start, chunk)
        symbols = torch.zeros(alive, int(counts[0]), dtype=torch.long)
        for index, row in enumerate(rows[:alive]):
            symbols[index, : counts[index]] = torch.tensor(encoded[row][start : start + chunk])
        state = (state[0][:alive], state[1][:alive])
        output = network(symbols, state, names, logits=False, first_step=start)
        state = output.state
        yield StateChunk(rows[:alive], start, counts, symbols, output.reads)


def _check_finite(acts: Float[np.ndarray, "n d"], name: str) -> None:
    bad = np.argwhere(~np.isfinite(acts))
    if len(bad):
        row, unit = bad[0]
        raise FloatingPointError(
            f"{name} unit {unit} is {acts[row, unit]} for text {row}; the weights have diverged or are damaged"
        )


class _bar:  # noqa: N801
    """A progress bar in symbols, or nothing."""

    def __init__(self, total: int, shown: bool):
        self.total, self.shown = total, shown

    def __enter__(self) -> Callable[[int], object]:
        from tqdm.auto import tqdm

        self.tqdm = tqdm(
            total=self.total, unit="symbol", unit_scale=True, desc="reading", disable=not self.shown
        )
        return self.tqdm.update

    def __exit__(self, *_: object) -> None:
        self.tqdm.close()

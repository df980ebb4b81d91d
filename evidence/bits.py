"""Bits that a network needs for text: what every cost is counted in."""

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch.nn.functional import cross_entropy

from worldscope.activations.reading import encode_texts
from worldscope.measures import Interval, bootstrap_interval
from worldscope.networks.generation import Generation
from worldscope.networks.mlstm import MLSTM


@dataclass(frozen=True, eq=False)
class Bits:
    """What each text costs a network, and how many bytes that is spread over."""

    bits: Float[np.ndarray, " n"]
    """Bits for all the symbols that were predicted."""
    n_bytes: Integer[np.ndarray, " n"]
    """Bytes that those symbols stand for."""

    @property
    def per_byte(self) -> float:
        """Bits per byte of all texts together."""
        return float(self.bits.sum() / self.n_bytes.sum())

    def of(self, rows: Integer[np.ndarray, " rows"]) -> "Bits":
        """Some of the texts."""
        return Bits(self.bits[rows], self.n_bytes[rows])


def text_bits(network: MLSTM, texts: Sequence[str], *, batch: int = 64, chunk: int = 64) -> Bits:
    """Bits for each text, from its second symbol on, with whatever edits are in place.

    Args:
        network: Who predicts.
        texts: What it receives.
        batch: Texts read together.
        chunk: Steps read together: bounds the memory to batch × chunk × n_symbols.

    Raises:
        ValueError: If there is no text, or one is empty.
    """
    encoded = encode_texts(network, texts)
    return _bits(network, encoded, [1] * len(encoded), batch, chunk)


def continuation_bits(
    network: MLSTM, generations: Sequence[Generation], *, batch: int = 64, chunk: int = 64
) -> Bits:
    """Bits for each continuation given its prompt, symbol by symbol as it was generated.

    Args:
        network: Who predicts; it need not be who wrote.
        generations: Each with one symbol of continuation at least.
        batch: Texts read together.
        chunk: Steps read together.
    """
    prompts = {g.prompt: network.encode(g.prompt, end=False) for g in generations}
    starts = [len(prompts[g.prompt]) for g in generations]
    sequences = [[*prompts[g.prompt], *g.symbols] for g in generations]
    return _bits(network, sequences, starts, batch, chunk)


def cost_interval(edited: Bits, plain: Bits, groups: Iterable[Hashable], *, seed: int) -> Interval:
    """Bits per byte of `edited` minus those of `plain`, row by row the same text or prompt.

    Raises:
        ValueError: If there are fewer than two groups.
    """

    def difference(counts: np.ndarray) -> float:
        after = (counts @ edited.bits) / (counts @ edited.n_bytes)
        return float(after - (counts @ plain.bits) / (counts @ plain.n_bytes))

    return bootstrap_interval(difference, groups, seed=seed)


def _bits(
    network: MLSTM,
    sequences: Sequence[Sequence[int]],
    starts: Sequence[int],
    batch: int,
    chunk: int,
) -> Bits:
    """Bits of the symbols of each sequence from its start on, given all those before."""
    lengths, first = np.asarray([len(s) for s in sequences]), np.asarray(starts)
    order = np.argsort(-lengths, kind="stable")
    nats = np.zeros(len(sequences))
    for begin in range(0, len(order), batch):
        rows = order[begin : begin + batch]
        nats[rows] = _batch_nats(network, [sequences[r] for r in rows], first[rows], chunk)
    widths = np.asarray(
        [len(piece) for piece in network.codec.pieces(range(network.codec.n_symbols))]
    )
    n_bytes = [widths[list(s[start:])].sum() for s, start in zip(sequences, starts, strict=True)]
    return Bits(nats / math.log(2), np.asarray(n_bytes))


def _batch_nats(
    network: MLSTM,
    sequences: Sequence[Sequence[int]],
    starts: Integer[np.ndarray, " b"],
    chunk: int,
) -> Float[np.ndarray, " b"]:
    """Nats of sequences that come longest first; each leaves the batch when it ends."""
    lengths = np.asarray([len(sequence) for sequence in sequences])
    padded = torch.zeros(len(sequences), int(lengths[0]), dtype=torch.long, device=network.device)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = torch.tensor(sequence)
    nats = np.zeros(len(sequences))
    state = network.zero_state(len(sequences))
    for begin in range(0, int(lengths[0]) - 1, chunk):
        alive = int((lengths - 1 > begin).sum())
        symbols = padded[:alive, begin : begin + chunk + 1]
        output = network(symbols[:, :-1], (state[0][:alive], state[1][:alive]), first_step=begin)
        state = output.state
        # Time first, as the network lays them out: the other way round would copy every logit.
        logits, targets = output.logits.transpose(0, 1).flatten(0, 1), symbols[:, 1:].t()
        losses = cross_entropy(logits, targets.flatten(), reduction="none").view_as(targets).t()
        place = begin + 1 + np.arange(losses.shape[1])
        counted = (place >= starts[:alive, None]) & (place < lengths[:alive, None])
        nats[:alive] += (losses.double().cpu().numpy() * counted).sum(axis=1)
    return nats

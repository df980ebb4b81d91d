"""Collecting one hook to disk beside TransformerLens, nnsight and SAELens.

The peers read documents in the order of the data, padded to the longest of their batch; SAELens
documents that all fill the context, which is what its runner makes. Both sides begin with symbols,
cut at the context, and no side's loading of the network is timed.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.collect import ragged_texts, random_gpt
from benchmarks.peers import (
    CHECKED,
    PYTHON,
    Documents,
    NNsight,
    Peer,
    SAELens,
    StoppedNNsight,
    TransformerLens,
)
from benchmarks.timing import NO_BF16, Row, check_within, compare, fastest, show
from worldscope.activations.collect import collect
from worldscope.activations.store import ActivationStore, load_store
from worldscope.networks.arithmetic import has_bf16
from worldscope.networks.transformer import Transformer

BATCHES = (8, 32, 64)
"""What a peer may choose from."""
NO_PEERS = "the peers have no environment here: make bench-peers"
WITHIN = {"float32": 1e-5, "bfloat16": 0.1}
"""How far rows may be apart, by our arithmetic."""


@dataclass(frozen=True)
class Duel:
    """A peer, its type and ours, and what our ratio is to reach."""

    peer: type[Peer]
    theirs: str
    ours: str
    bar: float | None


DUELS = (
    Duel(TransformerLens, "float32", "float32", 1.2),
    Duel(TransformerLens, "float32", "bfloat16", 3.0),
    Duel(TransformerLens, "bfloat16", "bfloat16", None),
    Duel(NNsight, "float32", "float32", 1.2),
    Duel(NNsight, "float32", "bfloat16", 3.0),
    Duel(NNsight, "bfloat16", "bfloat16", None),
    Duel(StoppedNNsight, "float32", "float32", None),
    Duel(SAELens, "float32", "float32", 3.0),
    Duel(SAELens, "float32", "bfloat16", None),
)


def rows(quick: bool) -> Iterator[Row]:
    """The last block's output; real positions a second, padding not counted."""
    network = random_gpt(quick)
    context = network.config.n_ctx
    texts = ragged_texts(network, 40 if quick else 400)
    ragged = [np.array(network.encode(text)[:context]) for text in texts]
    joined = np.concatenate(ragged)
    packed = list(joined[: len(joined) // context * context].reshape(-1, context))
    for duel in DUELS:
        documents, lengths = (
            (packed, f"{context} symbols") if duel.peer is SAELens else (ragged, "IMDB's lengths")
        )
        yield _fought(duel, network, documents, lengths, quick)


def _fought(
    duel: Duel, network: Transformer, documents: Documents, lengths: str, quick: bool
) -> Row:
    shape = network.config
    row = Row(
        f"collect 1 hook of {len(documents)} documents of {lengths}, GPT {shape.n_layers} × "
        f"{shape.d_model}, {duel.ours} arithmetic and store",
        "positions/s",
        f"{duel.peer.name}, {duel.theirs}",
        bar=duel.bar,
    )
    if "bfloat16" in (duel.ours, duel.theirs) and not has_bf16(network.device):
        return replace(row, absent=NO_BF16)
    if duel.peer is not TransformerLens and not PYTHON.exists():
        return replace(row, absent=NO_PEERS)
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    network.dtype = getattr(torch, duel.ours)
    try:
        peer = duel.peer(network, folder, duel.theirs)
        return _compared(row, network, documents, duel.ours, peer, quick)
    finally:
        network.dtype = torch.float32
        shutil.rmtree(folder)


def _compared(
    row: Row, network: Transformer, documents: Documents, dtype: str, peer: Peer, quick: bool
) -> Row:
    batches = BATCHES[:1] if quick else BATCHES
    hook, out = f"blocks.{network.config.n_layers - 1}.hook_out", peer.folder / "ours"

    def ours() -> None:
        shutil.rmtree(out, ignore_errors=True)
        collect(network, documents, hook, out, dtype=dtype)

    few = documents[: 2 * max(batches)]
    batch = fastest(batches, lambda batch: peer.collect(few, batch))
    ours()
    found, expected = _first_rows(load_store(out)), peer.first_rows(documents, batch)
    equal = check_within(float((found - expected).abs().max()), WITHIN[dtype], "rows")
    return compare(
        replace(row, peer_name=f"{row.peer_name}, batch {batch}", equal=equal),
        sum(map(len, documents)),
        ours,
        lambda: peer.collect(documents, batch),
        repeats=2 if quick else 3,
    )


def _first_rows(store: ActivationStore) -> torch.Tensor:
    """In the order of the data."""
    order = np.lexsort((store.labels("position"), store.labels("sequence")))
    return store.gather(None, order[:CHECKED]).float()


if __name__ == "__main__":
    show([rows])

"""Collecting ragged documents beside TransformerLens' `run_with_cache`, as its users run it.

Documents in the order of the data, padded to the longest of their batch, one hook kept by name, and
each batch saved with `torch.save`. Both sides cut documents at the context.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from benchmarks.collect import ragged_texts, random_gpt
from benchmarks.timing import NO_BF16, Row, check_within, compare, fastest, show
from worldscope.activations.collect import collect
from worldscope.activations.store import load_store
from worldscope.networks.arithmetic import has_bf16
from worldscope.networks.transformer import Transformer

BATCHES = (8, 32, 64)
"""What the peer may choose from."""


def rows(quick: bool) -> Iterator[Row]:
    """The last block's output; real positions a second, padding not counted."""
    network = random_gpt(quick)
    texts = ragged_texts(network, 40 if quick else 400)
    shape = network.config
    work = (
        f"collect {len(texts)} documents of the lengths of IMDB, GPT {shape.n_layers} × "
        f"{shape.d_model}, one hook"
    )
    row = Row(work, "positions/s", "TransformerLens run_with_cache + torch.save, fp32", bar=1.2)
    yield _beside_transformer_lens(row, network, texts, 2 if quick else 3)
    bf16 = replace(row, peer_name=f"{row.peer_name}; ours in bf16", bar=3.0)
    if not has_bf16(network.device):
        yield replace(bf16, absent=NO_BF16)
        return
    network.dtype = torch.bfloat16
    yield _beside_transformer_lens(bf16, network, texts, 2 if quick else 3)


def _beside_transformer_lens(row: Row, network: Transformer, texts: list[str], repeats: int) -> Row:
    hook = f"blocks.{network.config.n_layers - 1}.hook_out"
    encoded = [torch.tensor(network.encode(text)[: network.config.n_ctx]) for text in texts]
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))

    def ours() -> None:
        shutil.rmtree(folder / "ours", ignore_errors=True)
        collect(network, texts, hook, folder / "ours", too_long="cut")

    def peer(batch: int, some: list[torch.Tensor] = encoded) -> None:
        shutil.rmtree(folder / "peer", ignore_errors=True)
        (folder / "peer").mkdir()
        with torch.no_grad():
            for first in range(0, len(some), batch):
                padded = pad_sequence(some[first : first + batch], batch_first=True)
                _, cache = network.bridge.run_with_cache(padded, names_filter=[hook])
                torch.save(cache[hook], folder / "peer" / f"{first:06d}.pt")

    try:
        batch = fastest(BATCHES, lambda batch: peer(batch, encoded[: max(BATCHES)]))
        ours()
        peer(batch)
        limit = 1e-5 if network.dtype == torch.float32 else 0.1
        apart = _apart(folder, encoded, batch)
        return compare(
            replace(
                row,
                peer_name=f"{row.peer_name}, batch {batch}",
                equal=check_within(apart, limit, "rows"),
            ),
            sum(map(len, encoded)),
            ours,
            lambda: peer(batch),
            repeats=repeats,
        )
    finally:
        shutil.rmtree(folder)


def _apart(folder: Path, encoded: list[torch.Tensor], batch: int) -> float:
    """The largest difference between the rows of both sides."""
    store = load_store(folder / "ours")
    sequences, positions = (store.labels(name) for name in ("sequence", "position"))
    order = np.lexsort((positions, sequences))
    ours = store.gather(None, order)
    theirs = []
    for first in range(0, len(encoded), batch):
        saved = torch.load(folder / "peer" / f"{first:06d}.pt", weights_only=True)
        some = encoded[first : first + batch]
        theirs += [acts[: len(text)] for acts, text in zip(saved, some, strict=True)]
    return float((ours - torch.cat(theirs)).abs().max())


if __name__ == "__main__":
    show([rows])

"""Collecting to disk beside our own forward pass: same batches, same arithmetic, same depth."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from benchmarks.timing import NO_BF16, Row, check_within, compare, show
from worldscope.activations.collect import collect
from worldscope.activations.inputs import as_inputs
from worldscope.activations.plan import Batch
from worldscope.activations.reader import Cursor, Reader
from worldscope.activations.settings import ReadSettings
from worldscope.networks.arithmetic import has_bf16, type_name
from worldscope.networks.codecs import BPECodec
from worldscope.networks.transformer import Transformer, TransformerConfig
from worldscope.worlds.reviews import load_reviews

LENGTHS = 5.4, 0.75
"""Mean and standard deviation of the logarithm of the symbols of a review of IMDB."""


def rows(quick: bool) -> Iterator[Row]:
    """One hook, and the residual stream of every block."""
    network = random_gpt(quick)
    texts = ragged_texts(network, 40 if quick else 1000)
    last = network.config.n_layers - 1
    one, every = [f"blocks.{last}.hook_out"], [f"blocks.{n}.hook_out" for n in range(last + 1)]
    for dtype in (torch.float32, torch.bfloat16):
        for hooks, bar in ((one, 0.95), (every, 0.90)):
            yield _beside_forward(network, texts, hooks, bar, dtype, 2 if quick else 3)


def random_gpt(quick: bool) -> Transformer:
    """4 blocks, 256 wide, context 256, over 4,096 pieces; smaller if quick."""
    codec = BPECodec.train(load_reviews("short").inputs, n_symbols=4096)
    shape = (16, 2, 2, 32) if quick else (256, 4, 4, 256)
    network = Transformer(TransformerConfig(codec.n_symbols, *shape), codec)
    return network.requires_grad_(False).eval()


def ragged_texts(network: Transformer, count: int) -> list[str]:
    """Texts of about as many symbols as reviews of IMDB have, from the shipped ones."""
    draw = np.random.default_rng(0)
    words = " ".join(load_reviews("short").inputs).split()
    per_word = len(network.encode(" ".join(words))) / len(words)
    sizes = draw.lognormal(*LENGTHS, count) / per_word
    starts = draw.integers(0, len(words), count)
    doubled = words * 4
    return [
        " ".join(doubled[start : start + max(4, min(int(size), 2 * len(words)))])
        for start, size in zip(starts, sizes, strict=True)
    ]


def forward_only(network: Transformer, batches: Sequence[torch.Tensor], hooks: list[str]) -> None:
    """The network over padded batches, up to the deepest hook; what is read is dropped."""
    for symbols in batches:
        network(symbols, read=hooks, logits=False)


def _beside_forward(
    network: Transformer,
    texts: list[str],
    hooks: list[str],
    bar: float,
    dtype: torch.dtype,
    repeats: int,
) -> Row:
    name = type_name(dtype)
    shape = network.config
    work = (
        f"collect {len(hooks)} hook{'s' if len(hooks) > 1 else ''} of {len(texts):,} documents, "
        f"GPT {shape.n_layers} × {shape.d_model}, {name} arithmetic and store"
    )
    row = Row(work, "positions/s", f"our forward pass alone, {name}", bar=bar)
    if dtype == torch.bfloat16 and not has_bf16(network.device):
        return replace(row, absent=NO_BF16)
    network.dtype = dtype
    reader = Reader(network, as_inputs(texts), hooks, ReadSettings())
    works = list(reader.works(Cursor()))
    batches = [padded(reader, work.window, batch) for work in works for batch in work.unit]
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))

    def ours() -> None:
        shutil.rmtree(folder)
        collect(network, texts, hooks, folder, dtype=name)

    try:
        ours()
        return compare(
            replace(row, equal=_equal(network, texts, hooks, folder)),
            sum(work.positions for work in works),
            ours,
            lambda: forward_only(network, batches, hooks),
            repeats=repeats,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        network.dtype = torch.float32


def padded(reader: Reader, window: object, batch: Batch) -> torch.Tensor:
    """What the network receives for a batch."""
    items = [window.items[s.item][s.start : s.end] for s in batch]  # pyright: ignore
    return pad_sequence(items, batch_first=True)


def _equal(network: Transformer, texts: list[str], hooks: list[str], folder: Path) -> str:
    """Rows of the first texts beside those of each read alone."""
    from worldscope.activations.store import load_store

    store = load_store(folder)
    sequences, positions = (store.labels(name) for name in ("sequence", "position"))
    apart = 0.0
    for index, text in enumerate(texts[:5]):
        symbols = torch.tensor([network.encode(text)[: network.config.n_ctx]])
        alone = network(symbols, read=hooks).reads
        chosen = np.flatnonzero((sequences == index) & (positions < symbols.shape[1]))
        for hook in hooks:
            found = store.gather(hook, chosen).float()
            expected = alone[hook][0][positions[chosen].astype(int)]
            apart = max(apart, float((found - expected).abs().max()))
    limit = 1e-5 if network.dtype == torch.float32 else 0.1
    return check_within(apart, limit, "rows of documents read alone")


if __name__ == "__main__":
    show([rows])

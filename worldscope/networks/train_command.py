"""`worldscope train`: from texts to a trained network in a folder, with progress."""

import signal
import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from worldscope.networks.codecs import (
    BPECodec,
    BytesCodec,
    Codec,
    frame,
    load_codec,
    naming_text,
)
from worldscope.networks.corpus import pack
from worldscope.networks.language_model import TrainableModel
from worldscope.networks.loading import new_mlstm
from worldscope.networks.train_config import TrainConfig
from worldscope.networks.training import Progress, Trainer, last_checkpoint, split_texts
from worldscope.networks.transformer import Transformer, TransformerConfig
from worldscope.runs.lock import alone_in

VALIDATION_FRACTION = 0.01
"""Share of the groups that is held out."""
PIECES_FROM = 40_000
"""Byte-pair pieces are learned from at most so many texts, spread over all of them."""
VALIDATION_TEXTS = 200
"""At most so many held-out texts are read at every checkpoint."""


@dataclass(frozen=True)
class MLSTMShape:
    """Shape of a multiplicative LSTM."""

    codec: str = "bytes"
    """`bytes` or `bpe`."""
    hidden: int = 512
    """Number of units."""
    embed: int = 64
    """Width of the symbol embedding."""

    def __str__(self) -> str:
        """For the name of a folder."""
        return f"{self.codec}-{self.hidden}"

    def network(self, codec: Codec, seed: int) -> TrainableModel:
        """A network of this shape with the initial weights of a seed."""
        return new_mlstm(codec, d_hidden=self.hidden, d_embed=self.embed, seed=seed)


@dataclass(frozen=True)
class TransformerShape:
    """Shape of a transformer."""

    codec: str = "bpe"
    """`bytes` or `bpe`."""
    d_model: int = 256
    """Width of the residual stream."""
    layers: int = 4
    """Number of blocks."""
    heads: int = 4
    """Attention heads of a block."""
    context: int = 256
    """Largest number of symbols that are read together."""

    def __str__(self) -> str:
        """For the name of a folder."""
        return f"{self.codec}-{self.layers}x{self.d_model}"

    def network(self, codec: Codec, seed: int) -> TrainableModel:
        """A network of this shape with the initial weights of a seed."""
        sizes = (self.d_model, self.layers, self.heads, self.context)
        config = TransformerConfig(codec.n_symbols, *sizes, codec=codec.name)
        return Transformer(config, codec, seed=seed)


Shape = MLSTMShape | TransformerShape


def train(
    texts: Sequence[str],
    groups: Sequence[Hashable],
    out: Path,
    start: Shape | TrainableModel,
    *,
    device: str,
    config: TrainConfig,
) -> None:
    """Trains on texts, or goes on with the training in `out`, until it ends.

    Args:
        texts: What to train on; a hundredth of the groups is held out for validation.
        groups: What must not be in both parts, for each text.
        out: Folder of the training.
        start: Shape of a new network, or one to start from.
        device: Where to train.
        config: How to train.

    Raises:
        ValueError: If `out` holds a training with other settings, a text is empty (its index is
            given), the device cannot be used, or another training is running in `out`.
    """
    from tqdm.auto import tqdm

    _check(texts, device)
    kept, held = split_texts(texts, groups, fraction=VALIDATION_FRACTION, seed=config.seed)
    with alone_in(out, "a training"):
        network = _first_network(kept, out, start, config.seed).to(device)
        corpus = pack(kept, network.codec, seed=config.seed)
        validation = pack(held[:VALIDATION_TEXTS], network.codec)
        trainer = Trainer(network, corpus, validation, config, out)
        seen = round(trainer.step * trainer.bytes_per_step)
        total = round(trainer.steps * trainer.bytes_per_step)
        bar = tqdm(total=total, initial=seen, unit="B", unit_scale=True, desc="training")
        with bar, _interrupts_wait() as interrupted:

            def report(progress: Progress) -> None:
                _show(bar, progress)
                if interrupted:
                    trainer.save()
                    kept = f"{progress.bytes_seen / 1e6:.1f} MB"
                    bar.write(f"stopped at {kept}; the same command goes on from there")
                    raise KeyboardInterrupt

            trainer.run(report)


@contextmanager
def _interrupts_wait() -> Iterator[list[int]]:
    """Ctrl+C is only noted, in the list, so that a step is never cut; a second one is at once."""
    noted: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield noted
        return

    def note(number: int, frame: object) -> None:
        noted.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


def _check(texts: Sequence[str], device: str) -> None:
    """Refuses what would stop the training later, where a text's index is no longer known."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either
        said = " ".join(str(error).split())
        raise ValueError(f"device {device!r} cannot be used here: {said}") from None
    for index, text in enumerate(texts):
        with naming_text(texts, index):
            frame(text)


def _first_network(
    texts: Sequence[str], out: Path, start: Shape | TrainableModel, seed: int
) -> TrainableModel:
    if isinstance(start, TrainableModel):
        return start
    return start.network(_codec(texts, out, start.codec), seed)


def _codec(texts: Sequence[str], out: Path, name: str) -> Codec:
    """The codec; pieces are learned once and kept in the checkpoint."""
    if name == BytesCodec.name:
        return BytesCodec()
    folder = last_checkpoint(out)
    if folder and (folder / "codec.json").exists():
        return load_codec(name, folder)
    return BPECodec.train(texts[:: -(-len(texts) // PIECES_FROM)])


def _show(bar, progress: Progress) -> None:
    bar.update(progress.bytes_seen - bar.n)
    shown = {"bits/byte": f"{progress.bits_per_byte:.3f}", "lr": f"{progress.lr:.1e}"}
    if progress.validation_bits_per_byte is not None:
        loss = progress.validation_bits_per_byte
        bar.write(f"{progress.bytes_seen / 1e6:.1f} MB: validation {loss:.3f} bits/byte")
    bar.set_postfix(shown)

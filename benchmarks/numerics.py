"""How far networks of ours are from the originals: `python -m benchmarks.numerics`.

It prints `docs/numerics.md`.
"""

import argparse
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import plain_llama
from worldscope.networks.codecs import BytesCodec
from worldscope.networks.gpt2 import to_gpt2
from worldscope.networks.huggingface import load_hugging_face
from worldscope.networks.llama2c import load_llama2c
from worldscope.networks.transformer import Transformer, TransformerConfig

TEXT = "Once upon a time, there was a big dog. He liked to run and play with his friend Lily."
LLAMA: dict[str, object] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
FAMILIES: dict[str, dict[str, object]] = {
    "GPT2LMHeadModel": {"n_embd": 64, "n_layer": 4, "n_head": 4, "n_positions": 64},
    "LlamaForCausalLM": LLAMA,
    "GPTNeoXForCausalLM": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    },
    "MistralForCausalLM": {**LLAMA, "sliding_window": 16},
    "Qwen2ForCausalLM": LLAMA,
    "Gemma2ForCausalLM": {**LLAMA, "head_dim": 16, "sliding_window": 16},
}
"""Classes of Hugging Face, and the shape of a small one."""
PLACES = ("blocks.0.hook_out", "blocks.1.hook_out", "ln_final.hook_out", "logits")


@dataclass(frozen=True)
class Row:
    """How far one place of a network is from the original."""

    network: str
    """Ours."""
    original: str
    """The implementation that it must equal."""
    place: str
    """Hook name, or logits."""
    largest: float
    """Largest absolute difference."""
    relative: float
    """The same, over the largest absolute value of the original."""
    tolerance: float
    """What `largest` may be; a test holds it."""


def compared(network: str, original: str, place: str, ours: Any, theirs: Any, limit: float) -> Row:
    """The row of two arrays of the same shape.

    Raises:
        ValueError: If their shapes differ.
    """
    first, second = (np.asarray(array, dtype=np.float64) for array in (ours, theirs))
    if first.shape != second.shape:
        raise ValueError(f"{network}, {place}: {first.shape} is compared with {second.shape}")
    largest = float(np.abs(first - second).max())
    relative = largest / float(np.abs(second).max())
    return Row(network, original, place, largest, relative, limit)


def rows(data: Path | None) -> Iterator[Row]:
    """Every comparison.

    Args:
        data: Folder of real networks; those are left out if None.
    """
    yield from own_rows()
    for name in FAMILIES:
        yield from family_rows(name)
    if data is not None:
        yield from stories_rows(data / "stories260k")


def own_rows() -> Iterator[Row]:
    """A transformer of ours and the GPT-2 that it is exported as."""
    network = Transformer(TransformerConfig(256, 64, 4, 4, 64, "bytes"), BytesCodec())
    model = to_gpt2(disturbed(network))
    yield from _in_hugging_face(
        "transformer of ours", "exported as GPT2LMHeadModel", network, model
    )


def family_rows(name: str) -> Iterator[Row]:
    """A small random network of Hugging Face, through its bridge."""
    model = random_model(name)
    yield from _in_hugging_face(name, "Hugging Face", load_hugging_face(model), model)


def stories_rows(folder: Path) -> Iterator[Row]:
    """A trained Llama in llama2.c's format."""
    network = load_llama2c(folder)
    symbols = network.encode(TEXT)
    states, normed, logits = plain_llama.run(folder / "stories260K.bin", symbols)
    ours, reads = network.run_with_cache(torch.tensor([symbols]))
    places = {f"blocks.{n}.hook_out": states[n] for n in (0, 2, 4)}
    for place, theirs in [*places.items(), ("ln_final.hook_out", normed)]:
        yield compared("stories260K", "numpy, float64", place, reads[place][0], theirs, 2e-5)
    yield compared("stories260K", "numpy, float64", "logits", ours[0], logits, 1e-4)


def random_model(name: str) -> Any:
    """A small network of Hugging Face whose every weight is random."""
    import transformers

    kind: Any = getattr(transformers, name)
    settings = {"vocab_size": 200, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    torch.manual_seed(0)
    return disturbed(kind(kind.config_class(**settings, **FAMILIES[name]))).eval()


def disturbed(model: nn.Module) -> Any:
    """The model with noise in every weight, so that no bias is zero and no gain is one."""
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
    return model


def page(found: list[Row]) -> str:
    """The page of documentation, in Markdown."""
    versions = {name: version(name) for name in ("torch", "transformers", "transformer-lens")}
    return _PAGE.format(
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        machine=platform.machine(),
        table="\n".join(_line(row) for row in found),
    )


def data_folder() -> Path | None:
    """The folder of real data, named by WORLDSCOPE_DATA or lying beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WORLDSCOPE_DATA") or beside)
    return folder if folder.is_dir() else None


def _in_hugging_face(name: str, original: str, network: Any, model: Any) -> Iterator[Row]:
    symbols = torch.randint(0, 200, (4, 48), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(symbols, output_hidden_states=True)
    logits, reads = network.run_with_cache(symbols, list(PLACES[:-1]))
    theirs: Mapping[str, Any] = dict(
        zip(PLACES, [*(expected.hidden_states[n] for n in (1, 2, 4)), expected.logits], strict=True)
    )
    for place, ours in {**reads, "logits": logits}.items():
        yield compared(name, original, place, ours, theirs[place], 1e-5)


def _line(row: Row) -> str:
    place = row.place if row.place == "logits" else f"`{row.place}`"
    return (
        f"| {row.network} | {row.original} | {place} | {row.largest:.1e} | {row.relative:.1e} "
        f"| {row.tolerance:.0e} |"
    )


_PAGE = """\
# How far networks are from their originals

Without an edit, what is read at a hook and what comes out equal what the original implementation
computes, up to the rounding of float32. Networks of Hugging Face are small ones with random
weights, noise in every bias and gain included; the sliding windows of Mistral and Gemma 2 are
shorter than the text. What is compared here came through the bridge. Where only outputs of blocks
are read and the bridge keeps its weights in the memory of the original (all of these but GPT-NeoX),
the original's own pass is run instead, and they are equal to the bit.

`largest` is the largest absolute difference, `relative` the same over the largest absolute value
of the original. `tests/worldscope/networks/test_numerics.py` holds every tolerance.

Measured in float32 on {machine}, with {versions}, by
`python -m benchmarks.numerics > docs/numerics.md`.

| network | original | place | largest | relative | tolerance |
|---|---|---|---|---|---|
{table}
"""

if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(page(list(rows(data_folder()))), end="")

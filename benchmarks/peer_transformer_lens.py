"""TransformerLens' `run_with_cache` and `torch.save`, batch by batch, as its users collect."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence


def load_gpt2(folder: str | Path, dtype: torch.dtype = torch.float32) -> Any:
    """A `TransformerBridge` of a GPT-2 that `save_pretrained` wrote, without a tokenizer."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2LMHeadModel

    original = GPT2LMHeadModel.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return TransformerBridge.boot_transformers(
        "gpt2", hf_model=original.eval(), tokenizer=None, device="cpu", dtype=dtype
    )


@torch.no_grad()
def write_cache(
    bridge: Any,
    documents: Sequence[Sequence[int]],
    hook: str,
    folder: Path,
    *,
    batch: int = 8,
    layers: int | None = None,
) -> int:
    """Writes one `.pt` file a batch, (batch, longest, d): padded positions are written, too.

    Args:
        bridge: A `TransformerBridge`.
        documents: Tokens of each, none longer than the network's context; read in this order.
        hook: What is kept, such as `blocks.2.hook_resid_post`.
        folder: Is made where it is missing.
        batch: Documents in a forward pass.
        layers: Number of blocks to run; all, and the logits, if None.

    Returns:
        How many positions of documents were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(documents), batch):
        chosen = [torch.tensor(each) for each in documents[first : first + batch]]
        symbols = pad_sequence(chosen, batch_first=True)
        _, cache = bridge.run_with_cache(symbols, names_filter=[hook], stop_at_layer=layers)
        torch.save(cache[hook], folder / f"{first // batch:05d}.pt")
    return sum(map(len, documents))

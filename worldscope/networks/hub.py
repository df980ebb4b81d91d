"""Models on the Hugging Face hub."""

from typing import Any

import torch


def bridge_of_hub(
    name: str,
    tokenizer: Any,
    device: str | torch.device,
    dtype: torch.dtype,
    revision: str | None,
) -> Any:
    """A `TransformerBridge` of a model on the hub, or of its copy in the cache here.

    Raises:
        FileNotFoundError: If the hub does not give it, or TransformerLens does not know it.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers.utils.hub import has_file

    try:  # the client raises many kinds
        if not has_file(name, "config.json", revision):  # asks once, where loading asks for long
            raise OSError("it has no model of that name, or cannot be reached and no copy is here")
        return TransformerBridge.boot_transformers(
            name, device=device, dtype=dtype, tokenizer=tokenizer, revision=revision
        )
    except Exception as error:
        said = " ".join(str(error).split())
        raise FileNotFoundError(
            f"{name!r} is neither a network here nor one that the hub gives: {said:.200}"
        ) from None

"""Models on the Hugging Face hub."""

from typing import Any

import torch
from torch import nn

from worldscope.networks.plain_pass import twin
from worldscope.networks.pretrained import check_weights, read_pretrained


def bridge_of_hub(
    name: str,
    tokenizer: Any,
    device: str | torch.device,
    dtype: torch.dtype,
    revision: str | None,
) -> tuple[Any, nn.Module]:
    """A `TransformerBridge` of a model on the hub, or of its copy in the cache here; and its twin.

    Raises:
        FileNotFoundError: If the hub does not give it whole, or TransformerLens does not know it.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers.utils.hub import has_file

    try:  # the client raises many kinds
        if not has_file(name, "config.json", revision):  # asks once, where loading asks for long
            raise OSError("it has no model of that name, or cannot be reached and no copy is here")
        model, found = read_pretrained(name, dtype, revision=revision)
        check_weights(name, model, found)
        original = twin(model.to(device))
        bridge = TransformerBridge.boot_transformers(
            name, hf_model=model, device=device, dtype=dtype, tokenizer=tokenizer, revision=revision
        )
    except Exception as error:
        said = " ".join(str(error).split())
        raise FileNotFoundError(
            f"{name!r} is neither a network here nor one that the hub gives: {said:.200}"
        ) from None
    return bridge, original

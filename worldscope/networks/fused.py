"""The forward pass of a native transformer, for when nobody looks inside.

The weights are the bridge's own, module by module; only the way through them is shorter: the
queries, keys and values of a layer are one product, and attention is one kernel that makes no
pattern.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


def hidden_states(
    model: nn.Module, symbols: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time d_model"]:
    """The residual stream after the last norm: what the unembedding reads.

    Args:
        model: A `NativeModel` of TransformerLens with learned positions, norms with weights and an
            MLP of two layers, whether or not its parts are wrapped by a bridge.
        symbols: What is read, from position 0 on.
    """
    parts: Any = model
    positions = torch.arange(symbols.shape[1], device=symbols.device)
    x = unwrap(parts.tok_embed)(symbols) + unwrap(parts.pos)(positions)
    for wrapped in parts.layers:
        block = unwrap(wrapped)
        x = x + _attention(unwrap(block.attn), unwrap(block.ln1)(x))
        mlp = unwrap(block.mlp)
        inner = mlp.act(unwrap(mlp.fc_in)(unwrap(block.ln2)(x)))
        x = x + unwrap(mlp.fc_out)(inner)
    return unwrap(parts.ln_out)(x)


def unwrap(module: nn.Module) -> Any:
    """The module itself, without the bridge's wrapper."""
    return getattr(module, "original_component", module)


def _attention(
    attention: Any, x: Float[Tensor, "batch time d_model"]
) -> Float[Tensor, "batch time d_model"]:
    projections = [unwrap(attention.q), unwrap(attention.k), unwrap(attention.v)]
    weight = torch.cat([projection.weight for projection in projections])
    bias = torch.cat([projection.bias for projection in projections])
    heads = functional.linear(x, weight, bias).unflatten(2, (3, attention.n_heads, -1))
    q, k, v = heads.permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, scale=1 / attention.scale
    )
    return unwrap(attention.o)(mixed.transpose(1, 2).flatten(2))

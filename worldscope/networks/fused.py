"""The forward pass of a native transformer, without what nobody asked to see.

The weights are the bridge's own, module by module; only the way through them is shorter: the
queries, keys and values of a layer are one product, attention is one kernel that makes no pattern,
a product and its GELU are one kernel where the processor has it, and blocks above the deepest place
of interest are not run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from worldscope.networks.linear_gelu import has_linear_gelu, linear_gelu

Visits = Mapping[str, Callable[[Tensor], Tensor]]
"""Who sees the value at a hook, by its canonical name; what it returns is gone on with."""
_IN_BLOCK = (
    "hook_in",
    "attn.q.hook_out",
    "attn.k.hook_out",
    "attn.v.hook_out",
    "attn.o.hook_in",
    "attn.hook_out",
    "ln2.hook_in",
    "mlp.in.hook_out",
    "mlp.out.hook_in",
    "mlp.hook_out",
    "hook_out",
)


def fused_hooks(n_layers: int) -> list[str]:
    """Canonical names of the places that the fused pass comes by, in order."""
    blocks = [f"blocks.{layer}.{name}" for layer in range(n_layers) for name in _IN_BLOCK]
    return ["embed.hook_out", "pos_embed.hook_out", *blocks, "ln_final.hook_out"]


def hidden_states(
    model: nn.Module,
    symbols: Int[Tensor, "batch time"],
    visits: Visits,
    *,
    layers: int | None = None,
) -> Float[Tensor, "batch time d_model"] | None:
    """The residual stream after the last norm: what the unembedding reads.

    Args:
        model: A `NativeModel` of TransformerLens with learned positions, norms with weights and an
            MLP of two layers and `gelu_new`, whether or not its parts are wrapped by a bridge.
        symbols: What is read, from position 0 on.
        visits: Who sees, and may change, values at hooks of `fused_hooks`.
        layers: Number of blocks to run; all and the last norm if None. Then there is no result.
    """
    parts: Any = model
    visit = _Place("", visits)
    positions = torch.arange(symbols.shape[1], device=symbols.device).expand(symbols.shape)
    embedded = visit("embed.hook_out", unwrap(parts.tok_embed)(symbols))
    x = embedded + visit("pos_embed.hook_out", unwrap(parts.pos)(positions))
    for layer, block in enumerate(parts.layers[:layers]):
        x = _block(unwrap(block), x, _Place(f"blocks.{layer}.", visits))
    if layers is not None:
        return None
    return visit("ln_final.hook_out", unwrap(parts.ln_out)(x))


def unwrap(module: nn.Module) -> Any:
    """The module itself, without the bridge's wrapper."""
    return getattr(module, "original_component", module)


@dataclass(frozen=True)
class _Place:
    """A part of the model, and who sees what in it."""

    name: str
    visits: Visits

    def __call__(self, hook: str, value: Tensor) -> Tensor:
        return self.visits[self.name + hook](value) if self.sees(hook) else value

    def sees(self, hook: str) -> bool:
        return self.name + hook in self.visits


def _block(
    block: Any, x: Float[Tensor, "batch time d_model"], visit: _Place
) -> Float[Tensor, "batch time d_model"]:
    x = visit("hook_in", x)
    x = x + visit("attn.hook_out", _attention(unwrap(block.attn), unwrap(block.ln1)(x), visit))
    mlp, read = unwrap(block.mlp), visit("ln2.hook_in", x)
    inner = _inner(mlp, unwrap(block.ln2)(read), visit)
    return visit("hook_out", x + visit("mlp.hook_out", unwrap(mlp.fc_out)(inner)))


def _inner(
    mlp: Any, x: Float[Tensor, "batch time d_model"], visit: _Place
) -> Float[Tensor, "batch time d_mlp"]:
    """The neurons of an MLP, as one kernel if nobody asks to see what is between."""
    layer = unwrap(mlp.fc_in)
    if not visit.sees("mlp.in.hook_out") and has_linear_gelu(x):
        return visit("mlp.out.hook_in", linear_gelu(x, layer.weight, layer.bias))
    return visit("mlp.out.hook_in", mlp.act(visit("mlp.in.hook_out", layer(x))))


def _attention(
    attention: Any, x: Float[Tensor, "batch time d_model"], visit: _Place
) -> Float[Tensor, "batch time d_model"]:
    projections = [unwrap(attention.q), unwrap(attention.k), unwrap(attention.v)]
    weight = torch.cat([projection.weight for projection in projections])
    bias = torch.cat([projection.bias for projection in projections])
    heads = functional.linear(x, weight, bias).unflatten(2, (3, attention.n_heads, -1))
    q, k, v = (
        visit(f"attn.{part}.hook_out", value).transpose(1, 2)
        for part, value in zip("qkv", heads.unbind(2), strict=True)
    )
    mixed = functional.scaled_dot_product_attention(
        q, k, v, is_causal=True, scale=1 / attention.scale
    )
    return unwrap(attention.o)(visit("attn.o.hook_in", mixed.transpose(1, 2)).flatten(2))

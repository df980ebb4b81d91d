"""Reading and editing inside a `TransformerBridge` of TransformerLens."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from worldscope.networks.hooked import HookPoint

_BLOCK = re.compile(r"blocks\.(\d+)\.")
_MATRICES = ("hook_pattern", "hook_attn_scores")
_NOT_OBEYED = ("hook_attn_scores",)
"""Native attention only shows these: it goes on with what they were before an edit."""


def bridge_points(
    bridge: Any, symbols: Tensor, *, native: bool = True
) -> tuple[dict[str, HookPoint], dict[str, str]]:
    """The hook points that fire, by canonical name, and the canonical name of every alias.

    Args:
        bridge: A `TransformerBridge`.
        symbols: (batch, time), what is read to find out.
        native: Whether it is of TransformerLens' own architecture.
    """
    from transformer_lens.model_bridge.bridge_core import build_alias_to_canonical_map

    aliases = build_alias_to_canonical_map(bridge.hook_dict)
    with torch.no_grad():
        _, cache = bridge.run_with_cache(symbols)
    points = {
        name: HookPoint(
            name, value.shape[-1], axes, editable=not (native and name.endswith(_NOT_OBEYED))
        )
        for name, value in cache.items()
        if name not in aliases and value.is_floating_point() and (axes := _axes(name, value))
    }
    return points, {alias: name for alias, name in aliases.items() if name in points}


def run_bridge(
    bridge: Any,
    symbols: Tensor,
    points: Mapping[str, HookPoint],
    read: Collection[str],
    *,
    layers: int | None,
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Logits and activations, after the edits of the points.

    Args:
        bridge: A `TransformerBridge`.
        symbols: (batch, time).
        points: Every hook point by its canonical name.
        read: Canonical names to return.
        layers: Number of blocks to run; all if None. Then there are no logits.
    """
    reads: dict[str, Tensor] = {}

    def at(point: HookPoint) -> Any:
        def visit(value: Tensor, hook: Any) -> Tensor | None:
            edited = point.edited(value) if point.edits else value
            if point.name in read:
                reads[point.name] = edited.detach().clone()
            return edited if point.edits else None

        return visit

    hooks = [(name, at(point)) for name, point in points.items() if point.edits or name in read]
    logits = bridge.run_with_hooks(symbols, fwd_hooks=hooks, stop_at_layer=layers)
    return (logits if layers is None else None), reads


def blocks_needed(names: Collection[str]) -> int | None:
    """How many blocks must run for these hooks to fire; None if what follows them must, too."""
    deepest = 0
    for name in names:
        if block := _BLOCK.match(name):
            deepest = max(deepest, int(block.group(1)) + 1)
        elif not name.startswith(("embed.", "pos_embed.")):
            return None
    return deepest


def _axes(name: str, value: Tensor) -> tuple[str, ...]:
    """Names of the axes of what is read; none for what is not of a batch of texts."""
    if name.endswith(_MATRICES):
        return ("batch", "head", "query", "key")
    return {3: ("batch", "time", "d"), 4: ("batch", "time", "head", "d")}.get(value.ndim, ())

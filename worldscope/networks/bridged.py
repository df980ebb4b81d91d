"""Reading and editing inside a `TransformerBridge` of TransformerLens."""

import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from worldscope.networks.hooked import HookPoint

_BLOCK = re.compile(r"blocks\.(\d+)\.")
_MATRICES = ("hook_pattern", "hook_attn_scores")
_MIDDLE, _ATTENTION = "hook_resid_mid", "hook_attn_out"


@torch.no_grad()
def bridge_points(bridge: Any, symbols: Tensor) -> tuple[dict[str, HookPoint], dict[str, str]]:
    """The hook points that fire, by canonical name, and the canonical name of every alias.

    Args:
        bridge: A `TransformerBridge`.
        symbols: (1, time), what is read to find out.
    """
    from transformer_lens.model_bridge.bridge_core import build_alias_to_canonical_map

    aliases = build_alias_to_canonical_map(bridge.hook_dict)
    _, cache = bridge.run_with_cache(symbols.expand(2, -1))
    read = {
        name: value
        for name, value in cache.items()
        if name not in aliases and value.is_floating_point() and _axes(name, value)
    }
    obeyed = _obeyed_kinds(bridge, symbols, list(read))
    points = {
        name: HookPoint(name, value.shape[-1], _axes(name, value), editable=_kind(name) in obeyed)
        for name, value in read.items()
    }
    return points, {alias: name for alias, name in aliases.items() if name in points}


def instead_of_stream(aliases: Mapping[str, str]) -> dict[str, str]:
    """What to edit in place of the stream between attention and MLP, by canonical name.

    `hook_resid_mid` is what the second norm reads: an edit of it leaves the stream as it is.

    Args:
        aliases: The canonical name of every other name of a hook point.
    """
    return {
        name: alias.removesuffix(_MIDDLE) + _ATTENTION
        for alias, name in aliases.items()
        if alias.endswith(_MIDDLE)
    }


def _obeyed_kinds(bridge: Any, symbols: Tensor, names: Sequence[str]) -> set[str]:
    """Kinds of hooks whose edits change the scores: each is tried in a row of its own.

    Attention that is left to the original network, for one, only shows its pattern.
    """
    first = {_kind(name): name for name in reversed(names)}
    last = {_kind(name): name for name in names}
    tried = list(dict.fromkeys([*first.values(), *last.values()]))
    noise = torch.Generator().manual_seed(0)

    def at(row: int) -> Any:
        def visit(value: Tensor, hook: Any) -> Tensor:
            changed = value.clone()
            size = 1 + value[row].nan_to_num(0, 0, 0).abs().max()
            changed[row] = size * torch.randn(value.shape[1:], generator=noise).to(value)
            return changed

        return visit

    rows = symbols.expand(len(tried), -1)
    plain = bridge(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of edits that are not obeyed
        edited = bridge.run_with_hooks(rows, fwd_hooks=[(n, at(r)) for r, n in enumerate(tried)])
    same = (edited - plain).abs().flatten(1).amax(1) <= 1e-5 * plain.abs().max()
    return {_kind(name) for name, unchanged in zip(tried, same, strict=True) if not unchanged}


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


def _kind(name: str) -> str:
    """The name of a hook in any block."""
    return _BLOCK.sub("blocks.", name)


def _axes(name: str, value: Tensor) -> tuple[str, ...]:
    """Names of the axes of what is read of two texts; none for what is not of each of them."""
    if not value.ndim or len(value) != 2:
        return ()
    if name.endswith(_MATRICES):
        return ("batch", "head", "query", "key")
    return {3: ("batch", "time", "d"), 4: ("batch", "time", "head", "d")}.get(value.ndim, ())

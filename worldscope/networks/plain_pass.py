"""A Hugging Face model run as it is, for reads between blocks where nothing is edited.

Its bridge computes attention in steps that can be hooked, which takes longer.
"""

import copy
import re
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from worldscope.networks.bridged import run_bridge
from worldscope.networks.digest import torch_hooks
from worldscope.networks.hooked import HookPoint
from worldscope.networks.one_pass import Enough

_BLOCK_OUTPUT = re.compile(r"blocks\.(\d+)\.hook_out")


class PlainPass:
    """A model beside its bridge, of the same weights in the same memory."""

    def __init__(self, model: nn.Module, blocks: str):
        """Args:
        model: From `twin`.
        blocks: Name of its list of blocks.
        """
        self.model = model.eval().requires_grad_(False)
        self.blocks = list(model.get_submodule(blocks).children())
        self.memory = {_memory(parameter) for parameter in model.parameters()}

    def has(self, names: Collection[str]) -> bool:
        """Whether all these are outputs of blocks."""
        return all(_BLOCK_OUTPUT.fullmatch(name) for name in names)

    def stands_for(self, bridge: Any) -> bool:
        """Whether every weight of the bridge is still one of this model, and no torch hook is set.

        A hook of torch, which would not be called here, may change what a bridge gives.
        """
        shared = all(_memory(parameter) in self.memory for parameter in bridge.parameters())
        return shared and not torch_hooks(bridge.original_model)

    def __call__(
        self, symbols: Tensor, read: Collection[str], *, logits: bool
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Logits if asked for, and the outputs of blocks; none above the deepest of these is run.

        Args:
            symbols: (batch, time).
            read: Names that it `has`.
            logits: Whether to go on to the end.
        """
        reads: dict[str, Tensor] = {}

        def at(name: str) -> Any:
            def visit(module: nn.Module, inputs: object, output: Any) -> None:
                value = output[0] if isinstance(output, tuple) else output
                reads[name] = value.detach().clone()
                if len(reads) == len(set(read)) and not logits:
                    raise Enough

            return visit

        handles = [self._block(name).register_forward_hook(at(name)) for name in set(read)]
        try:
            return self.model(symbols).logits, reads
        except Enough:
            return None, reads
        finally:
            for handle in handles:
                handle.remove()

    def _block(self, name: str) -> nn.Module:
        found = _BLOCK_OUTPUT.fullmatch(name)
        assert found is not None
        return self.blocks[int(found.group(1))]


def twin(model: nn.Module) -> nn.Module:
    """A copy of a Hugging Face model with the very same weights, that keeps no keys and values."""
    other = copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
    if config := getattr(other, "config", None):
        config.use_cache = False
    return other


def plain_pass(
    model: nn.Module, bridge: Any, symbols: Tensor, points: dict[str, HookPoint]
) -> PlainPass | None:
    """The model as a pass of its own, if it gives what its bridge gives.

    Args:
        model: From `twin`, before the bridge was made.
        bridge: A `TransformerBridge` of the same weights.
        symbols: (batch, time), what is read to find out.
        points: Hook points of the bridge.
    """
    blocks = bridge.adapter.component_mapping.get("blocks")
    if blocks is None:
        return None
    plain = PlainPass(model, blocks.name)
    names = [name for name in points if plain.has([name])]
    if not names or not plain.stands_for(bridge):
        return None
    with torch.no_grad():
        scores, reads = plain(symbols, names, logits=True)
        expected, others = run_bridge(bridge, symbols, points, names, layers=None)
    near = [_near(reads[name], others[name]) for name in names]
    return plain if all(near) and _near(scores, expected) else None


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _near(value: Tensor | None, other: Tensor | None) -> bool:
    if value is None or other is None or value.shape != other.shape:
        return False
    limit = torch.finfo(value.dtype).eps ** 0.5 * other.abs().max()
    return bool((value - other).abs().max() <= limit)

"""What tells one network from another: what it computes, and with which weights."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import xxhash
from torch import Tensor, nn

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def network_digest(specification: str, tensors: Mapping[str, Tensor]) -> str:
    """Sixteen hexadecimal digits, equal exactly when what is computed and all bytes are.

    Args:
        specification: What is computed.
        tensors: Weights and buffers by name.
    """
    total = xxhash.xxh3_64()
    total.update(_line(specification))
    for name, tensor in sorted(tensors.items()):
        total.update(_line(name, str(tensor.dtype), list(tensor.shape)))
        stored: Any = tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy()
        total.update(stored)
    return total.hexdigest()


def specify_modules(printed: str, modules: Iterable[nn.Module]) -> str:
    """What modules compute beside their weights, the same in every process.

    Args:
        printed: How PyTorch prints them.
        modules: Each of them.
    """
    return _ADDRESS.sub("", printed + json.dumps([*map(_settings, modules)], default=str))


def qualified(function: Any) -> str:
    """The name of a function, or of what is called like one."""
    return getattr(function, "__qualname__", type(function).__qualname__)


def _settings(module: nn.Module) -> dict[str, Any]:
    """What a module holds beside weights that may decide what it computes, and is plain.

    Its type often prints less: not the heads of attention, for one.
    """
    plain: dict[str, Any] = {}
    for name, value in vars(module).items():
        if name.startswith("_") or name == "training":
            continue
        if value is None or isinstance(value, bool | int | float | str | tuple | list):
            plain[name] = value
        elif callable(value) and not isinstance(value, nn.Module):
            plain[name] = qualified(value)
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    return {**plain, "hooks of torch": list(map(qualified, hooks))} if hooks else plain


def _line(*values: object) -> bytes:
    """Values as a line, so that no two rows of them are alike."""
    return json.dumps(values).encode() + b"\n"

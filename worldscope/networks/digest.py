"""What tells one network from another: what it computes, and with which weights."""

import functools
import json
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor, nn

_ELSEWHERE = {
    "_name_or_path",
    "architectures",
    "default_padding_side",
    "default_prepend_bos",
    "device",
    "dtype",
    "model_name",
    "n_devices",
    "output_attentions",
    "output_hidden_states",
    "pad_token_id",
    "seed",
    "tokenizer_appends_eos",
    "tokenizer_name",
    "tokenizer_prepends_bos",
    "torch_dtype",
    "transformers_version",
}
"""What a configuration says of where a network comes from and lives, how texts become symbols and
what a pass returns beside the scores; not of what it computes."""
_NO_SETTINGS = {"training", "name_or_path", "warnings_issued", "generation_config"}
"""What a module holds that decides nothing in a pass."""
_LIBRARIES = ("torch.", "transformers.", "worldscope.")
"""Whose classes are known by their names."""
_READERS = ("transformers.", "transformer_lens.")
_EMPTY = types.CellType()
"""What a function is bound to whose variable has no value yet."""
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
        total.update(_bytes(tensor))
    return total.hexdigest()


def specify_modules(printed: str, modules: Iterable[nn.Module]) -> str:
    """What modules compute beside their weights, the same in every process.

    Args:
        printed: How PyTorch prints them.
        modules: Each of them.
    """
    return _ADDRESS.sub("", printed + json.dumps([*map(_settings, modules)], default=str))


def described(value: Any) -> str:
    """What a function or any other value is, the same in every process."""
    return _ADDRESS.sub("", json.dumps(_described(value, ()), default=str))


def qualified(function: Any) -> str:
    """The name of a function, or of what is called like one."""
    return getattr(function, "__qualname__", type(function).__qualname__)


def computed(value: Any) -> Any:
    """A configuration without what is of no consequence, at any depth."""
    if isinstance(value, Mapping):
        return {str(k): computed(part) for k, part in value.items() if k not in _ELSEWHERE}
    return [computed(part) for part in value] if isinstance(value, list | tuple) else value


def torch_hooks(module: nn.Module) -> list[str]:
    """Hooks of torch that are set on a module and its submodules."""
    return [f"{path} {hook}" for path, part in module.named_modules() for hook in _hooks(part)]


def _hooks(module: nn.Module) -> list[str]:
    """Names of a module's hooks, but for those by which transformers and bridges read."""
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    homes = (getattr(hook, "__module__", None) or "" for hook in hooks)
    named = zip(map(qualified, hooks), homes, strict=True)
    return [name for name, home in named if not home.startswith(_READERS)]


def _settings(module: nn.Module, within: tuple[int, ...] = ()) -> dict[str, Any]:
    """What a module holds beside its own weights that may decide what it computes.

    Its type often prints less: not the heads of attention, for one.
    """
    settings = {
        name: _described(value, (*within, id(module)))
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in _NO_SETTINGS
    }
    if isinstance(module, torch.fx.GraphModule):
        settings["code"] = module.code
    if methods := _code_of_methods(type(module)):
        settings["methods"] = methods
    if hooks := _hooks(module):
        settings["hooks of torch"] = hooks
    return settings


def _code_of_methods(kind: type) -> list[Any]:
    """What classes of the user's own compute, as this version of Python compiles them."""
    own = (base for base in kind.__mro__[:-1] if not base.__module__.startswith(_LIBRARIES))
    return [
        [name, _code(function.__code__)]
        for base in own
        for name, function in vars(base).items()
        if isinstance(function, types.FunctionType)
    ]


def _code(code: types.CodeType) -> list[Any]:
    constants = [
        _code(part) if isinstance(part, types.CodeType) else _described(part, ())
        for part in code.co_consts
    ]
    return [code.co_code.hex(), code.co_names, constants]


def _described(value: Any, within: tuple[int, ...]) -> Any:
    """A value as plain ones that differ where it does; numbers of arrays by their checksum.

    Args:
        value: What a module holds.
        within: Addresses of what it is part of, so that a circle ends.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if id(value) in within:
        return "itself"
    within = (*within, id(value))
    if isinstance(value, Mapping):
        return [[_described(k, within), _described(v, within)] for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [_described(part, within) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(repr(part) for part in value)
    if isinstance(value, np.ndarray):
        numbers = value.dtype.kind in "biufc"
        return _numbers(torch.as_tensor(value)) if numbers else _described(value.tolist(), within)
    if isinstance(value, Tensor):
        return _numbers(value)
    if isinstance(value, nn.Module):  # in a list, say: one that is registered has its own turn
        weights = {name: _numbers(tensor) for name, tensor in value.state_dict().items()}
        return [repr(value), weights, [_settings(part, within) for part in value.modules()]]
    return _described_object(value, within)


def _described_object(value: Any, within: tuple[int, ...]) -> Any:
    if isinstance(value, torch.device):
        return None
    if isinstance(value, functools.partial):
        return [_described(part, within) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, types.FunctionType):
        return [qualified(value), *_described_function(value, within)]
    if hasattr(value, "to_dict"):
        return _described(computed(value.to_dict()), within)
    if callable(value) or not hasattr(value, "__dict__"):
        return qualified(value) if callable(value) else repr(value)
    return [type(value).__qualname__, _described(vars(value), within)]


def _described_function(function: types.FunctionType, within: tuple[int, ...]) -> list[Any]:
    """What a function is bound to, and what one does that has no name of its own."""
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY]
    bound = _described([function.__defaults__, cells], within)
    return [bound, _code(function.__code__)] if "<" in qualified(function) else [bound]


def _numbers(tensor: Tensor) -> list[Any]:
    return [str(tensor.dtype), list(tensor.shape), xxhash.xxh3_64(_bytes(tensor)).hexdigest()]


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def _line(*values: object) -> bytes:
    """Values as a line, so that no two rows of them are alike."""
    return json.dumps(values).encode() + b"\n"

"""Tensors inside of what a module returns, however deep, and their names."""

import copy
import dataclasses
from collections import UserDict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Visit = Callable[[str, Tensor], Tensor]


def out_name(path: str, call: int = 0) -> str:
    """The name of what a submodule gives when it is called for the first time, or again."""
    return f"{path}{'.' if path else ''}hook_out{again(call)}"


def again(call: int) -> str:
    """The end of the names of a submodule's second call, `@1`, and of those after it."""
    return f"@{call}" if call else ""


def with_visited(value: Any, name: str, visit: Visit) -> Any:
    """The same structure with what `visit` returns for each floating tensor.

    What was given is never changed; it is given back itself where every tensor is as it was.

    Args:
        value: What a module returned.
        name: Its name; parts are called `name.0` in a tuple or a list, `name.key` elsewhere.
        visit: Called with the name and the tensor of each place, in order.
    """
    if isinstance(value, Tensor):
        return visit(name, value) if value.is_floating_point() else value
    parts = _parts(value)
    new = {key: with_visited(part, f"{name}.{key}", visit) for key, part in parts.items()}
    if all(new[key] is part for key, part in parts.items()):
        return value
    return _rebuilt(value, new)


def _parts(value: Any) -> dict[Any, Any]:
    """What a structure holds, by key, place or field; nothing for anything else."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list):
        return dict(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if hasattr(value, name)}
    return {}


def _rebuilt(value: Any, parts: dict[Any, Any]) -> Any:
    """A structure of the same type with other parts."""
    if isinstance(value, tuple):
        return _tuple_of(value, tuple(parts.values()))
    if isinstance(value, Mapping) and not isinstance(value, dict | UserDict):
        return type(value)(parts)  # pyright: ignore[reportCallIssue]
    new = copy.copy(value)
    if isinstance(value, list):
        new[:] = parts.values()
    elif isinstance(value, Mapping):
        for key, part in parts.items():
            new[key] = part
    else:
        for name, part in parts.items():
            if part is not getattr(value, name):
                object.__setattr__(new, name, part)  # a frozen dataclass has no other way
    return new


def _tuple_of(value: tuple, parts: tuple) -> Any:
    if hasattr(value, "_fields"):
        return value._make(parts)  # pyright: ignore[reportAttributeAccessIssue]
    if hasattr(value, "n_sequence_fields"):  # what torch.max gives
        return type(value)(parts)
    new = tuple.__new__(type(value), parts)
    if hasattr(value, "__dict__"):
        vars(new).update(vars(value))
    return new

"""A module is run as in evaluation, and is afterwards as it was."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@contextmanager
def in_evaluation(module: nn.Module) -> Iterator[None]:
    """Has every submodule evaluate inside a `with` block: no dropout, no statistics of the batch.

    The fast path of torch's encoder layers is off, since it does not call their submodules and
    makes nested tensors of padded batches. What the module writes into its buffers is forgotten.
    Afterwards, whatever happened, every flag, buffer and setting is the one that was there. What
    the module adds to itself stays, as it may rely on it from then on: a buffer that it registers
    in its first pass, the weights of a lazy layer.
    """
    buffers = [(part, _own_buffers(part)) for part in module.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    copies: dict[int, Tensor] = {}
    with not_training(module):
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            for part, own in buffers:
                for name, buffer in own.items():
                    part._buffers[name] = copies.setdefault(id(buffer), buffer.clone())
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for part, own in buffers:
                for name, buffer in own.items():
                    part._buffers[name] = buffer


@contextmanager
def not_training(module: nn.Module) -> Iterator[None]:
    """Has every submodule evaluate inside a `with` block; afterwards each flag is as it was."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _own_buffers(module: nn.Module) -> dict[str, Tensor]:
    """Buffers that can be exchanged: not those of compiled code, nor of a shape yet unknown."""
    if isinstance(module, torch.jit.ScriptModule):
        return {}
    held = module._buffers.items()
    return {name: buffer for name, buffer in held if buffer is not None and not is_lazy(buffer)}


class Watch:
    """Tells whether a module was changed since the last look at it.

    What counts is every attribute of every submodule, and in-place changes of its tensors.
    """

    def __init__(self, module: nn.Module):
        """The first look."""
        self.module = module
        self.look()

    def look(self) -> None:
        """Keeps what is there now."""
        self._objects, self._versions = _contents(self.module)
        self._weights = {
            id(weight): _version(weight)
            for weight in self.module.parameters()
            if not is_lazy(weight)
        }

    def changed_weights(self) -> list[str]:
        """Weights whose numbers are others than at the last look."""
        return [
            name
            for name, weight in self.module.named_parameters()
            if self._weights.get(id(weight), _version(weight)) != _version(weight)
        ]

    def changed(self) -> bool:
        """Whether anything is another than at the last look."""
        objects, versions = _contents(self.module)
        if versions != self._versions or len(objects) != len(self._objects):
            return True
        return not all(map(operator.is_, objects, self._objects))


def _contents(module: nn.Module) -> tuple[list[object], list[int]]:
    """Everything that submodules hold, and how often each of their tensors was changed in place."""
    objects: list[object] = []
    versions: list[int] = []
    for part in module.modules():
        objects += [part, *vars(part).values()]
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is not None:
                objects += [tensor, tensor.dtype]
                versions.append(_version(tensor))
    return objects, versions


def _version(tensor: Tensor) -> int:
    counted = not is_lazy(tensor) and not tensor.is_inference()
    return tensor._version if counted else 0

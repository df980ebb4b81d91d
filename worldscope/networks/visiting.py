"""Every tensor that a submodule gives in a forward pass is visited."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from worldscope.networks.nested_recurrent import gates_shown
from worldscope.networks.one_pass import Pass
from worldscope.networks.outputs import out_name, with_visited
from worldscope.networks.torch_recurrent import is_recurrent


@contextmanager
def visiting(module: nn.Module, under_way: Pass) -> Iterator[None]:
    """Has every floating tensor that a submodule gives visited; nothing is left afterwards."""
    calls: dict[str, int] = {}

    def at(path: str) -> Callable[..., Any]:
        def hook(_: nn.Module, given: Any, output: Any) -> Any:
            call = calls.get(path, 0)
            calls[path] = call + 1
            name = out_name(path, call)
            if not (isinstance(output, Tensor) and output.is_floating_point()):
                under_way.other.add(name)
            return with_visited(output, name, under_way.visit)

        return hook

    with ExitStack() as stack:
        for path, part in module.named_modules():
            stack.enter_context(part.register_forward_hook(at(path)))
            if is_recurrent(part):
                stack.enter_context(gates_shown(part, path, under_way, calls))
        yield

"""Any `nn.Module` behind our interface, without being changed.

The output of every submodule is a hook point: `layers.0.conv.hook_out`, and `hook_out` of the
module itself. Where an output holds several tensors, each has its place: `encoder.hook_out.0` in a
tuple or a list, `encoder.hook_out.last_hidden_state` in a mapping or a dataclass. A submodule that
is called again in the same pass has further points, `shared.hook_out@1` for its second call.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from worldscope.networks.hooked import HookedNetwork, HookPoint, NamesFilter, Piece
from worldscope.networks.recurrent_module import RecurrentModule

Keywords = Callable[[Tensor, Int[np.ndarray, " batch"]], Mapping[str, Any]]
Visit = Callable[[str, Tensor], Tensor]
_AXES = {
    2: ("batch", "d"),
    3: ("batch", "time", "d"),
    4: ("batch", "channel", "height", "width"),
}


class _Enough(BaseException):
    """Ends a forward pass once everything wanted has been read."""


class WrappedNetwork(HookedNetwork):
    """See `wrap`."""

    def __init__(self, module: nn.Module, *, timed: bool, pads: bool, keywords: Keywords | None):
        """See `wrap`."""
        super().__init__()
        self.module, self.timed, self.pads = module, timed, pads
        self.keywords = keywords or (lambda batch, lengths: {})
        self.hook_dict = {
            name: HookPoint(name, 0, ())
            for name in (_point_name(path, 0) for path, _ in module.named_modules())
        }
        self.known = False
        """Whether a pass has shown what each submodule gives."""
        self._steps: dict[tuple[int, ...], int] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are; the processor for a module without any."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))

    def encode(self, value: Any, /) -> Shaped[Tensor, "..."]:
        """An array as a tensor; float64 and uint8 become float32, with the same values.

        Raises:
            ValueError: If it is text or otherwise no array.
        """
        try:
            tensor = torch.as_tensor(np.asarray(value) if isinstance(value, list) else value)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"a wrapped module reads arrays, not {type(value).__name__} ({value!r:.40})"
            ) from None
        return tensor.float() if tensor.dtype in (torch.float64, torch.uint8) else tensor

    def hook_name(self, name: str) -> str:
        """See `HookedNetwork.hook_name`."""
        try:
            return super().hook_name(name)
        except LookupError as error:
            if self.known:
                raise
            raise LookupError(
                f"{error}; parts of an output are known after a pass: give wrap an example"
            ) from None

    def positions(self, item: Shaped[Tensor, "..."], names: Sequence[str]) -> int:
        """Time steps of an input; without time, what the hooks give for one of its shape."""
        if self.timed:
            return len(item)
        shape = tuple(item.shape)
        if shape not in self._steps:
            piece = next(self.stream_reads(item[None], np.ones(1, dtype=int), names, chunk=1))
            self._steps[shape] = piece.end
        return self._steps[shape]

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        """What the module returns, after edits; listeners are told of it."""
        names = [name for listener in self.listeners for name in listener.names]
        output, reads = self._run(inputs, keywords, names, whole=True)
        for wanted, passes in self.listeners:
            passes.append({name: reads[name] for name in wanted})
        return output

    def run_with_cache(
        self, *inputs: Any, names_filter: NamesFilter = None, **keywords: Any
    ) -> tuple[Any, dict[str, Tensor]]:
        """What the module returns, and activations by canonical hook name.

        Args:
            inputs: As the module takes them.
            names_filter: Hook name or names, a function that is true of a name, or None for all
                that fire.
            keywords: As the module takes them.

        Raises:
            LookupError: If a name is unknown.
            RuntimeError: If a hook did not fire.
        """
        if not self.known:
            self._run(inputs, keywords, (), whole=True)
        wanted = None if names_filter is None else self.hook_names(names_filter)
        fired = [name for name, point in self.hook_dict.items() if point.axes]
        return self._run(inputs, keywords, fired if wanted is None else wanted, whole=True)

    def stream_reads(
        self,
        inputs: Shaped[Tensor, "batch ..."],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
        *,
        chunk: int,
    ) -> Iterator[Piece]:
        """See `HookedNetwork.stream_reads`; channels of an image come last, its places are steps.

        Raises:
            ValueError: If the hooks give different numbers of positions, or another than the input
                has.
            RuntimeError: If a hook did not fire.
        """
        batch = inputs.to(self.device)
        _, found = self._run((batch,), dict(self.keywords(batch, lengths)), names, whole=False)
        reads = {name: _in_steps(name, acts) for name, acts in found.items()}
        steps = {name: acts.shape[1] for name, acts in reads.items()}
        if len(set(steps.values())) > 1:
            said = ", ".join(f"{name} {count}" for name, count in steps.items())
            raise ValueError(f"the hooks give different numbers of positions ({said}): take apart")
        (count,) = set(steps.values())
        if self.timed and count != inputs.shape[1]:
            raise ValueError(
                f"the hooks give {count} positions for inputs of {inputs.shape[1]}; wrap the "
                "module with timed=False"
            )
        yield Piece(0, count, {name: reads[name] for name in names})

    @torch.no_grad()
    def _run(
        self,
        inputs: Sequence[Any],
        keywords: Mapping[str, Any],
        names: Collection[str],
        whole: bool,
    ) -> tuple[Any, dict[str, Float[Tensor, "..."]]]:
        """The module's output (None if it was not run to its end) and the reads."""
        wanted, reads, output = set(names), {}, None

        def visit(name: str, value: Tensor) -> Tensor:
            point = self._point(name, value)
            edited = point.edited(value.clone()) if point.edits else value
            if name in wanted:
                reads[name] = edited.detach().clone()  # a module after it may work in place
                if not whole and len(reads) == len(wanted):
                    raise _Enough
            return edited

        training = self.module.training
        try:
            with _visiting(self.module, visit):
                output = self.module(*inputs, **keywords)
        except _Enough:
            pass
        self.module.train(training)
        self.runs += 1
        self.known = self.known or whole
        if missing := [name for name in names if name not in reads]:
            raise RuntimeError(
                f"{missing[0]} never fired: the module ran without calling that submodule"
            )
        return output, {name: reads[name] for name in names}

    def _point(self, name: str, value: Tensor) -> HookPoint:
        """The hook point of a value, with what is now known of it."""
        point = self.hook_dict.setdefault(name, HookPoint(name, 0, ()))
        if not point.axes:
            point.axes = _AXES.get(value.ndim, tuple(f"axis {n}" for n in range(value.ndim)))
            point.width = (
                value.shape[1] if value.ndim == 4 else value.shape[-1] if value.ndim else 1
            )
        return point


def wrap(
    module: nn.Module,
    example: Any = None,
    *,
    timed: bool = True,
    pads: bool = False,
    keywords: Keywords | None = None,
) -> HookedNetwork:
    """Any module behind the interface of a network; the module stays as it is.

    An `nn.LSTM`, `nn.GRU` or `nn.RNN` becomes a `RecurrentModule`, with a hook at every gate.

    Args:
        module: What to wrap.
        example: A batch that the module can read: it is run once, so that every hook, its axes and
            its width are known at once. Without it they are known after the first pass.
        timed: Whether inputs are sequences (time, …); an image is not, and its places are its
            positions.
        pads: Whether inputs of a batch may be padded at the end to one length: only if what is
            padded changes nothing, as with a mask from `keywords`.
        keywords: Further arguments of the module, from the padded batch and the lengths, such as
            `lambda batch, lengths: {"attention_mask": …}`.

    Raises:
        ValueError: If what is given is no module.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"a {type(module).__name__} is no torch module; give an nn.Module")
    if isinstance(module, nn.LSTM | nn.GRU | nn.RNN):
        return RecurrentModule(module)
    network = WrappedNetwork(module, timed=timed, pads=pads, keywords=keywords)
    if example is not None:
        batch = example.to(network.device) if isinstance(example, Tensor) else example
        lengths = np.full(len(batch), batch.shape[1] if timed else 1)
        network(batch, **network.keywords(batch, lengths))
    return network


@contextmanager
def _visiting(module: nn.Module, visit: Visit) -> Iterator[None]:
    """Has every floating tensor that a submodule gives visited; nothing is left afterwards."""
    calls: dict[str, int] = {}
    handles = []

    def at(path: str) -> Callable[..., Any]:
        def hook(_: nn.Module, given: Any, output: Any) -> Any:
            call = calls.get(path, 0)
            calls[path] = call + 1
            return _mapped(output, _point_name(path, call), visit)

        return hook

    try:
        for path, submodule in module.named_modules():
            handles.append(submodule.register_forward_hook(at(path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _point_name(path: str, call: int) -> str:
    return f"{path}{'.' if path else ''}hook_out{f'@{call}' if call else ''}"


def _mapped(value: Any, name: str, visit: Visit) -> Any:
    """The same structure with its floating tensors visited."""
    if isinstance(value, Tensor):
        return visit(name, value) if value.is_floating_point() else value
    if isinstance(value, Mapping):
        for key in list(value):
            new = _mapped(value[key], f"{name}.{key}", visit)
            if new is not value[key]:
                value[key] = new  # pyright: ignore[reportIndexIssue]
        return value
    if isinstance(value, tuple | list):
        parts = [_mapped(part, f"{name}.{place}", visit) for place, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {
            field.name: _mapped(getattr(value, field.name), f"{name}.{field.name}", visit)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **parts)
    return value


def _in_steps(name: str, acts: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch steps ..."]:
    """Activations with their positions on axis 1."""
    match acts.ndim:
        case 2:
            return acts.unsqueeze(1)
        case 3:
            return acts
        case 4:
            return acts.permute(0, 2, 3, 1).flatten(1, 2)
    raise ValueError(f"{name} has {acts.ndim} axes; a stream needs two, three or four")

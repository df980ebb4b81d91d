"""A module of any kind as a network: hooks are set for each pass and removed after it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor, nn

from worldscope.networks.axes import in_steps
from worldscope.networks.digest import described
from worldscope.networks.evaluation import Watch, in_evaluation
from worldscope.networks.hooked import HookedNetwork, HookPoint, NamesFilter, Piece
from worldscope.networks.module_inputs import (
    arguments,
    as_tensor,
    check_finite,
    extent,
    in_kind_of,
    in_type_of,
)
from worldscope.networks.one_pass import Enough, Pass, Reads
from worldscope.networks.outputs import out_name
from worldscope.networks.read_checks import ReadChecks
from worldscope.networks.refusals import saying_what_is_refused
from worldscope.networks.torch_recurrent import is_recurrent, recurrent_hooks
from worldscope.networks.visiting import visiting

Keywords = Callable[[Tensor, Int[np.ndarray, " batch"]], Mapping[str, Any]]
"""Further arguments of a module, from a padded batch and the steps of each input."""


class WrappedNetwork(HookedNetwork):
    """See `wrap`."""

    def __init__(self, module: nn.Module, *, timed: bool, pads: bool, keywords: Keywords | None):
        """See `wrap`."""
        super().__init__()
        self.module, self.timed, self.pads = module, timed, pads
        self.keywords = keywords
        self.known = False
        """Whether a pass has shown what each submodule gives."""
        self.rank: int | None = None
        """Number of axes of an input, where an example has shown it."""
        self.floats: bool | None = None
        """Whether inputs are floats, where an example has shown it."""
        self.hook_dict = {}
        self._watch = Watch(module)
        self._forget()

    @property
    def device(self) -> torch.device:
        """Where the weights are; the processor for a module without any."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))

    def extra_repr(self) -> str:
        """Which module."""
        return type(self.module).__name__

    def specification(self) -> str:
        """See `HookedNetwork.specification`; what `wrap` was told, too."""
        return f"{super().specification()} timed={self.timed} keywords={described(self.keywords)}"

    def show(self, example: Any) -> None:
        """Runs an example once, so that every hook is known.

        Raises:
            ValueError: If it is no batch, or the module refuses it.
        """
        batch = as_tensor(example)
        if batch.ndim < 1 + self.timed:
            wanted = "(batch, time, …)" if self.timed else "(batch, …)"
            raise ValueError(f"the example has the shape {tuple(batch.shape)}; give {wanted}")
        self.rank = batch.ndim - 1
        lengths = np.full(len(batch), batch.shape[1] if self.timed else 1)
        batch, keywords = self._given(batch, lengths)
        self.floats = batch.is_floating_point()
        with saying_what_is_refused("an example", batch):
            self(batch, **keywords)

    def encode(self, value: Any, /) -> Shaped[Tensor, "..."]:
        """An array as a tensor; floats and uint8 are in the type of the weights.

        Whole numbers are floats, too, where those of the example are.

        Raises:
            ValueError: If it is text or otherwise no array, has other axes than the example, holds
                fractions where the example holds whole numbers, or what is not finite.
        """
        tensor = as_tensor(value)
        if self.rank is not None and tensor.ndim != self.rank:
            raise ValueError(
                f"the input has the shape {tuple(tensor.shape)}; each of wrap's example has "
                f"{self.rank} axes, and so must each input"
            )
        if self.timed and tensor.ndim == 0:
            raise ValueError("the input is one number; with timed=True it must be (time, …)")
        given = in_type_of(self.module, in_kind_of(self.floats, tensor))
        check_finite(given)
        return given

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

    def hook_names(self, names_filter: NamesFilter = None) -> list[str]:
        """See `HookedNetwork.hook_names`; no filter keeps what has never fired."""
        names = super().hook_names(names_filter)
        if self.known and (names_filter is None or callable(names_filter)):
            points = self.hook_dict
            return [name for name in names if points[name].axes or points[name].width]
        return names

    def positions(self, item: Shaped[Tensor, "..."], names: Sequence[str]) -> int:
        """Time steps of an input; without time, what the hooks give for one of its shape."""
        if self.timed:
            return len(item)
        self._look()
        key = _key(item[None], names)
        if key not in self._steps:
            next(self.stream_reads(item[None], np.ones(1, dtype=int), names, chunk=1))
        return self._steps[key]

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        """What the module returns, after edits and without gradients; listeners are told of it."""
        names = list(dict.fromkeys(name for part in self.listeners for name in part.names))
        output, reads = self._run(inputs, keywords, set(names).__contains__)
        self._check_read(names, reads)
        for wanted, passes in self.listeners:
            passes.append({name: reads[name] for name in wanted})
        return output

    def run_with_cache(
        self, *inputs: Any, names_filter: NamesFilter = None, **keywords: Any
    ) -> tuple[Any, dict[str, Tensor]]:
        """What the module returns, and activations by canonical hook name, in one pass.

        Args:
            inputs: As the module takes them.
            names_filter: Hook name or names, a function that is true of a name, or None for all
                that fire.
            keywords: As the module takes them.

        Raises:
            LookupError: If a name is unknown.
            RuntimeError: If a hook did not fire.
        """
        if names_filter is None or callable(names_filter):
            return self._run(inputs, keywords, names_filter or (lambda name: True))
        given = [names_filter] if isinstance(names_filter, str) else list(names_filter)
        if self.known:
            given = self.hook_names(given)
        ends = tuple(f".{name}" for name in given if name not in self.hook_dict)
        output, reads = self._run(
            inputs, keywords, lambda name: name in given or name.endswith(ends)
        )
        names = self.hook_names(given)
        self._check_read(names, reads)
        return output, {name: reads[name] for name in names}

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
            ValueError: If a hook has no positions, or the hooks give different numbers of them;
                if the module refuses the inputs, changes its weights, or fails a check of
                `ReadChecks`; if the inputs differ in length without pads=True.
            RuntimeError: If a hook did not fire, or another thread is using the network.
        """
        ragged = self.timed and len(set(lengths.tolist())) > 1
        if ragged and not self.pads:
            raise ValueError(
                f"inputs of {lengths.min()} to {lengths.max()} steps are padded in one batch; "
                "read each length apart, or wrap the module with pads=True"
            )
        with self.one_thread:
            reads = self._read(inputs, lengths, names)
            if not self._edited:
                self._checks.check(
                    reads, inputs, lengths, lambda one, n: self._read(one, n, list(reads))
                )
        counts = {name: acts.shape[1] for name, acts in reads.items()}
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise ValueError(f"the hooks give different numbers of positions ({said}): take apart")
        (count,) = set(counts.values())
        self._steps[_key(inputs, names)] = count
        yield Piece(0, count, reads)

    def _read(
        self,
        inputs: Shaped[Tensor, "batch ..."],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
    ) -> Reads:
        """Reads of one pass that ends at the deepest hook, with positions on axis 1."""
        batch, keywords = self._given(inputs, lengths)
        wanted, edited = set(names), self._edited
        # What an edit raises is not the module's.
        refused = nullcontext() if edited else saying_what_is_refused("a batch", batch)
        with refused:
            enough = None if edited else len(wanted)  # an edit may be beyond what is read
            _, reads = self._run((batch,), keywords, wanted.__contains__, enough=enough)
        self._check_read(names, reads)
        time = inputs.shape[1] if self.timed else None
        return {name: in_steps(name, reads[name], time) for name in names}

    def _given(
        self, inputs: Shaped[Tensor, "batch ..."], lengths: Int[np.ndarray, " batch"]
    ) -> tuple[Tensor, dict[str, Any]]:
        """A copy of a batch, and its further arguments, where the weights are."""
        batch = in_type_of(self.module, inputs.to(self.device, copy=True))
        if self.keywords is None:
            return batch, {}
        steps = lengths if self.timed else np.ones(len(batch), dtype=int)
        return batch, arguments(self.keywords(batch, steps), self.device)

    def _run(
        self,
        inputs: Sequence[Any],
        keywords: Mapping[str, Any],
        wanted: Callable[[str], bool],
        enough: int | None = None,
    ) -> tuple[Any, Reads]:
        """The module's output (None if it was not run to its end) and the reads."""
        with self.one_thread, torch.no_grad():
            return self._pass(inputs, keywords, wanted, enough)

    def _pass(
        self,
        inputs: Sequence[Any],
        keywords: Mapping[str, Any],
        wanted: Callable[[str], bool],
        enough: int | None,
    ) -> tuple[Any, Reads]:
        self._look()
        sizes = extent((*inputs, *keywords.values()), self.timed)
        under_way, output = Pass(self.hook_dict, wanted, extent=sizes, enough=enough), None
        try:
            with in_evaluation(self.module), visiting(self.module, under_way):
                output = self.module(*inputs, **keywords)
        except Enough:
            pass
        if changed := self._watch.changed_weights():
            raise ValueError(
                f"a pass changes the module's weights, {changed[0]} for one, as nn.Embedding with "
                "max_norm does: take that off"
            )
        self._watch.look()
        self.runs += 1
        if enough is None:
            self.known = True
        for name in under_way.other & self.hook_dict.keys():
            if not self.hook_dict[name].edits:
                del self.hook_dict[name]
        return output, under_way.reads

    @property
    def _edited(self) -> bool:
        return any(point.edits for point in self.hook_dict.values())

    def _check_read(self, names: Sequence[str], reads: Reads) -> None:
        for name in names:
            if name in reads:
                continue
            parts = [part for part in self.hook_dict if part.startswith(f"{name}.")]
            if parts:
                raise RuntimeError(f"{name} holds several tensors; name one: {', '.join(parts)}")
            if name not in self.hook_dict:
                raise RuntimeError(f"{name} gives no floating tensor, so that it cannot be read")
            raise RuntimeError(f"{name} never fired: the module ran without calling that submodule")

    def _look(self) -> None:
        """Forgets what was known of the module if it was changed."""
        if self._watch.changed():
            self._forget()
            self._watch.look()

    def _forget(self) -> None:
        self._steps: dict[tuple[object, ...], int] = {}
        """Positions of an input, by what decides them."""
        self._checks = ReadChecks(timed=self.timed)
        self.dtype = in_type_of(self.module, torch.empty(0)).dtype
        for name in _points(self.module):
            self.hook_dict.setdefault(name, HookPoint(name, 0, ()))


def _points(module: nn.Module) -> Iterator[str]:
    """Names of the hooks that are known before a pass."""
    for path, part in module.named_modules():
        if getattr(part.forward, "__func__", None) is not nn.Module.forward:
            yield out_name(path)
        if is_recurrent(part):
            yield from recurrent_hooks(part, path)


def _key(batch: Shaped[Tensor, "batch ..."], names: Sequence[str]) -> tuple[object, ...]:
    """What decides how many positions an input has."""
    return tuple(names), batch.dtype, batch.shape[1:]

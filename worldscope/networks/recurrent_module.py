"""An `nn.LSTM`, `nn.GRU` or `nn.RNN` behind our interface."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldscope.networks.evaluation import in_evaluation
from worldscope.networks.hooked import HookedNetwork, HookPoint, NamesFilter, Piece
from worldscope.networks.module_inputs import as_tensor, check_finite
from worldscope.networks.torch_recurrent import (
    Recurrent,
    recurrent_hooks,
    run_recurrent,
    steps_alive,
)


class RecurrentOutput(NamedTuple):
    """What a forward pass gives back."""

    output: Float[Tensor, "batch time directions*d"]
    state: tuple[Tensor, ...]
    """Last h, and c of an LSTM, as torch orders them."""
    reads: dict[str, Float[Tensor, "batch time d"]]
    """The asked-for states and gates by canonical name, after edits."""


class RecurrentModule(HookedNetwork):
    """Reads sequences (time, d_in); see `torch_recurrent` for the names of its hooks."""

    def __init__(self, module: Recurrent):
        """The module is left as it is; its own weights are used."""
        super().__init__()
        self.module = module
        self.prefix = type(module).__name__.lower()
        self.hook_dict = {
            name: HookPoint(name, width)
            for name, width in recurrent_hooks(module, self.prefix).items()
        }

    def encode(self, value: Any, /) -> Float[Tensor, "time d_in"]:
        """A sequence in the type of the weights.

        Raises:
            ValueError: If it is not of shape (time, d_in), or a number is not finite.
        """
        sequence = as_tensor(value).to(next(self.parameters()).dtype)
        wanted = self.module.input_size
        if sequence.ndim != 2 or sequence.shape[1] != wanted:
            raise ValueError(
                f"the input has the shape {tuple(sequence.shape)}; this network reads (time, "
                f"{wanted})"
            )
        check_finite(sequence)
        return sequence

    @torch.no_grad()
    def forward(
        self,
        inputs: Float[Tensor, "batch time d_in"],
        state: tuple[Tensor, ...] | None = None,
        read: Collection[str] = (),
        *,
        lengths: Int[np.ndarray, " batch"] | None = None,
    ) -> RecurrentOutput:
        """Runs the module, as in evaluation and without gradients: fused where nobody looks.

        Args:
            inputs: Batch first, whatever the module's own order is.
            state: First h (and c), as torch orders them; zeros if None.
            read: Hook names to return, after edits.
            lengths: Steps of each input, where some are padded at the end.

        Raises:
            LookupError: If a hook name is unknown.
            ValueError: If the module has hooks of torch, which its gates would not obey.
        """
        self._check_unhooked()
        names = self.hook_names(list(read))
        edits = {name: point.apply for name, point in self.hook_dict.items() if point.edits}
        self.runs += 1
        if not names and not edits and lengths is None:
            return self._fused(inputs, state)
        alive = None if lengths is None else steps_alive(inputs, lengths)
        done = run_recurrent(
            self.module, inputs, state, prefix=self.prefix, read=names, edits=edits, alive=alive
        )
        return RecurrentOutput(*done)

    def stream_reads(
        self,
        inputs: Float[Tensor, "batch time d_in"],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
        *,
        chunk: int,
    ) -> Iterator[Piece]:
        """See `HookedNetwork.stream_reads`; one piece, as a direction may begin at the end."""
        output: RecurrentOutput = self(inputs.to(self.device), read=names, lengths=lengths)
        yield Piece(0, inputs.shape[1], output.reads)

    def run_with_cache(
        self, inputs: Float[Tensor, "batch time d_in"], names_filter: NamesFilter = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Output and activations by canonical hook name; None keeps all."""
        output: RecurrentOutput = self(inputs, read=self.hook_names(names_filter))
        return output.output, output.reads

    def _check_unhooked(self) -> None:
        if self.module._forward_hooks or self.module._forward_pre_hooks:
            raise ValueError(
                f"the nn.{type(self.module).__name__} has hooks of torch, which its gates do not "
                "obey when they are read step by step; remove them, or wrap a module that holds it"
            )

    def _fused(self, inputs: Tensor, state: tuple[Tensor, ...] | None) -> RecurrentOutput:
        given: Any = state
        if state is not None and len(state) == 1:
            given = state[0]
        ordered = inputs if self.module.batch_first else inputs.transpose(0, 1)
        with in_evaluation(self.module):
            output, last = self.module(ordered, given)
        output = output if self.module.batch_first else output.transpose(0, 1)
        return RecurrentOutput(output, last if isinstance(last, tuple) else (last,), {})

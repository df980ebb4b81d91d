"""The gates of an `nn.LSTM`, `nn.GRU` or `nn.RNN` inside of a wrapped module.

Where a gate is read or edited the submodule runs step by step from its own weights, equal to its
fused self to 1e-5; where none is, it runs as it is. Names are those of `torch_recurrent`, after the
path of the submodule: `encoder.lstm.0.hook_c`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from worldscope.networks.one_pass import Pass
from worldscope.networks.outputs import again
from worldscope.networks.torch_recurrent import (
    Recurrent,
    recurrent_hooks,
    run_recurrent,
    steps_alive,
)


class _Sequences(NamedTuple):
    """What a recurrent module was given, batch first."""

    inputs: Float[Tensor, "batch time d_in"]
    lengths: Int[Tensor, " batch"] | None
    """Steps of each, of a packed sequence."""


@contextmanager
def gates_shown(
    module: Recurrent, path: str, under_way: Pass, calls: Mapping[str, int]
) -> Iterator[None]:
    """Shows the gates of a module to a pass whenever the module runs inside a `with` block.

    Args:
        module: What runs; afterwards it is as it was.
        path: Of the module, before the names of its gates.
        under_way: What reads and edits.
        calls: How often the module has run so far, by path.
    """
    fused, hooks = module.forward, recurrent_hooks(module, path)
    own = vars(module).get("forward")

    def forward(input: Any, hx: Any = None) -> Any:
        names = {hook: hook + again(calls.get(path, 0)) for hook in hooks}
        sequences = _sequences(module, input)
        points = {
            hook: under_way.show(name, (*sequences.inputs.shape[:2], hooks[hook]))
            for hook, name in names.items()
        }
        read = [hook for hook, name in names.items() if under_way.needs(name)]
        if not read:
            return fused(input, hx)
        done = run_recurrent(
            module,
            sequences.inputs,
            _state_in(module, input, hx),
            prefix=path,
            read=read,
            edits={hook: point.apply for hook, point in points.items() if point.edits},
            alive=None
            if sequences.lengths is None
            else steps_alive(sequences.inputs, sequences.lengths),
        )
        for hook in read:
            under_way.keep(names[hook], done.reads[hook])
        return _as_given(module, input, done.output), _state_out(module, input, done.state)

    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


def _sequences(module: Recurrent, given: Any) -> _Sequences:
    if isinstance(given, PackedSequence):
        return _Sequences(*pad_packed_sequence(given, batch_first=True))
    if given.ndim == 2:
        return _Sequences(given.unsqueeze(0), None)
    return _Sequences(given if module.batch_first else given.transpose(0, 1), None)


def _as_given(module: Recurrent, given: Any, output: Float[Tensor, "batch time d"]) -> Any:
    """The output in the form of the input, as the module itself gives it."""
    if isinstance(given, PackedSequence):
        _, lengths = pad_packed_sequence(given, batch_first=True)
        if given.sorted_indices is not None:
            output = output.index_select(0, given.sorted_indices)
            lengths = lengths[given.sorted_indices.cpu()]
        packed = pack_padded_sequence(output, lengths, batch_first=True)
        return given._replace(data=packed.data)
    if given.ndim == 2:
        return output.squeeze(0)
    return output if module.batch_first else output.transpose(0, 1)


def _state_in(module: Recurrent, given: Any, state: Any) -> tuple[Tensor, ...] | None:
    if state is None:
        return None
    parts = state if module.mode == "LSTM" else (state,)
    return tuple(part.unsqueeze(1) for part in parts) if _unbatched(given) else tuple(parts)


def _state_out(module: Recurrent, given: Any, state: tuple[Tensor, ...]) -> Any:
    parts = tuple(part.squeeze(1) for part in state) if _unbatched(given) else state
    return parts if module.mode == "LSTM" else parts[0]


def _unbatched(given: Any) -> bool:
    return not isinstance(given, PackedSequence) and given.ndim == 2

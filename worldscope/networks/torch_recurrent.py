"""Every state and gate of an `nn.LSTM`, `nn.GRU` or `nn.RNN`, from its own weights.

Names are `lstm.0.hook_c` for layer 0 and `lstm.0.reverse.hook_c` for its reverse direction, where
step t is still the t-th of the input. Gates: i, f, o and the candidate u of an LSTM (Hochreiter &
Schmidhuber 1997, with forget gate; projections of h after Sak et al. 2014); r, z and the candidate
n of a GRU (Cho et al. 2014); an RNN has h alone. There is no dropout
between layers, as in evaluation.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, TypeGuard

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Recurrent = nn.LSTM | nn.GRU | nn.RNN
Edit = Callable[[Tensor, int], Tensor]
"""Called with the value (batch, d) of a step and the step; what it returns is gone on with."""
_GATES = {"LSTM": "hcifou", "GRU": "hrzn", "RNN_TANH": "h", "RNN_RELU": "h"}


class Unrolled(NamedTuple):
    """What a recurrence gives back that was run step by step."""

    output: Float[Tensor, "batch time directions*d"]
    state: tuple[Float[Tensor, "layers*directions batch _"], ...]
    """Last h, and c of an LSTM, of every layer and direction, as torch orders them."""
    reads: dict[str, Float[Tensor, "batch time d"]]
    """The asked-for states and gates, after edits."""


class _Weights(NamedTuple):
    """Weights of one layer and direction."""

    ih: Tensor
    hh: Tensor
    b_ih: Tensor
    b_hh: Tensor
    hr: Tensor | None


def is_recurrent(module: nn.Module) -> TypeGuard[Recurrent]:
    """Whether a module is one of torch's recurrent ones, and not a subclass with its own pass."""
    return isinstance(module, Recurrent) and type(module).forward in (
        nn.LSTM.forward,
        nn.GRU.forward,
        nn.RNN.forward,
    )


def recurrent_hooks(module: Recurrent, prefix: str) -> dict[str, int]:
    """The name and the width of every state and gate."""
    return {
        f"{name}{gate}": (module.proj_size or module.hidden_size)
        if gate == "h"
        else (module.hidden_size)
        for _, _, name in _directions(module, prefix)
        for gate in _GATES[module.mode]
    }


def steps_alive(
    inputs: Float[Tensor, "batch time d_in"],
    lengths: Int[Tensor, " batch"] | Int[np.ndarray, " batch"],
) -> Bool[Tensor, "batch time"]:
    """Which steps are of the inputs, and not of the padding at their end."""
    steps = torch.arange(inputs.shape[1])
    return (steps < torch.as_tensor(lengths).unsqueeze(1)).to(inputs.device)


@torch.no_grad()
def run_recurrent(
    module: Recurrent,
    inputs: Float[Tensor, "batch time d_in"],
    state: tuple[Tensor, ...] | None = None,
    *,
    prefix: str,
    read: Collection[str] = (),
    edits: Mapping[str, Edit] | None = None,
    alive: Bool[Tensor, "batch time"] | None = None,
) -> Unrolled:
    """Runs the module step by step.

    Args:
        module: Whose weights to use.
        inputs: Batch first, whatever the module's own order is.
        state: First h (and c) of every layer and direction; zeros if None.
        prefix: Before the names of the hooks, such as `lstm`.
        read: Hooks to return.
        edits: What is called at every step of a hook.
        alive: False where an input has ended; states stay as they are there. All True if None.
    """
    x, directions = inputs.transpose(0, 1), 2 if module.bidirectional else 1
    first = state or _zeros(module, len(inputs), inputs)
    lasts: list[tuple[Tensor, ...]] = []
    reads: dict[str, Tensor] = {}
    masks = None if alive is None else alive.t().unsqueeze(-1)
    outputs: list[Tensor] = []
    for layer, reverse, name in _directions(module, prefix):
        begin = tuple(part[layer * directions + reverse] for part in first)
        wanted = {g: f"{name}{g}" for g in _GATES[module.mode]}
        kept = {g: torch.empty(0) for g, full in wanted.items() if full in read}
        acting = {g: (edits or {})[full] for g, full in wanted.items() if full in (edits or {})}
        weights = _weights(module, layer, bool(reverse))
        out, last = _scan(module.mode, weights, x, begin, bool(reverse), masks, kept, acting)
        reads |= {wanted[gate]: stack.transpose(0, 1) for gate, stack in kept.items()}
        lasts.append(last)
        outputs.append(out)
        if len(outputs) == directions:
            x, outputs = torch.cat(outputs, dim=2), []
    final = tuple(torch.stack(parts) for parts in zip(*lasts, strict=True))
    return Unrolled(x.transpose(0, 1), final, reads)


def lstm_of_tensorflow(
    kernels: list[Float[Tensor, "_ _"]], biases: list[Float[Tensor, " _"]]
) -> nn.LSTM:
    """An LSTM with the weights of TensorFlow's cells: gates i, j, f, o, forget bias 1.

    Args:
        kernels: Of each layer, (d_in + d, 4 · d): rows for the input, then for h.
        biases: Of each layer, (4 · d).
    """
    width = kernels[0].shape[1] // 4
    lstm = nn.LSTM(kernels[0].shape[0] - width, width, num_layers=len(kernels), batch_first=True)
    state = {}
    for layer, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        i, j, f, o = bias.clone().chunk(4)
        state[f"bias_ih_l{layer}"] = torch.cat([i, f + 1.0, j, o])
        state[f"bias_hh_l{layer}"] = torch.zeros(4 * width)
        i, j, f, o = kernel.chunk(4, dim=1)
        ordered = torch.cat([i, f, j, o], dim=1).t()
        state[f"weight_ih_l{layer}"] = ordered[:, :-width]
        state[f"weight_hh_l{layer}"] = ordered[:, -width:]
    lstm.load_state_dict(state)
    return lstm


def _directions(module: Recurrent, prefix: str) -> Iterator[tuple[int, int, str]]:
    """Layer, whether reversed, and what the names of its hooks begin with."""
    for layer in range(module.num_layers):
        for reverse in range(2 if module.bidirectional else 1):
            yield layer, reverse, f"{prefix}.{layer}.{'reverse.' if reverse else ''}hook_"


def _zeros(module: Recurrent, batch: int, like: Tensor) -> tuple[Tensor, ...]:
    count = module.num_layers * (2 if module.bidirectional else 1)
    h = like.new_zeros(count, batch, module.proj_size or module.hidden_size)
    if module.mode != "LSTM":
        return (h,)
    return h, like.new_zeros(count, batch, module.hidden_size)


def _weights(module: Recurrent, layer: int, reverse: bool) -> _Weights:
    end = f"_l{layer}{'_reverse' if reverse else ''}"
    ih, hh = getattr(module, f"weight_ih{end}"), getattr(module, f"weight_hh{end}")
    zeros = ih.new_zeros(len(ih))
    b_ih, b_hh = (getattr(module, f"bias_{part}{end}", zeros) for part in ("ih", "hh"))
    return _Weights(ih, hh, b_ih, b_hh, getattr(module, f"weight_hr{end}", None))


def _scan(
    mode: str,
    weights: _Weights,
    x: Float[Tensor, "time batch d_in"],
    state: tuple[Tensor, ...],
    reverse: bool,
    alive: Bool[Tensor, "time batch 1"] | None,
    kept: dict[str, Tensor],
    edits: Mapping[str, Edit],
) -> tuple[Float[Tensor, "time batch d"], tuple[Tensor, ...]]:
    """One layer in one direction; fills `kept` with what is read."""
    step = {"LSTM": _lstm_step, "GRU": _gru_step}.get(mode, _rnn_step)
    added = x @ weights.ih.t() + weights.b_ih
    if mode != "GRU":  # whose candidate takes the recurrent bias inside a product
        added = added + weights.b_hh
    steps = len(x)
    outputs = x.new_empty(steps, x.shape[1], state[0].shape[1])
    for t in range(steps - 1, -1, -1) if reverse else range(steps):

        def edited(gate: str, value: Tensor, t: int = t) -> Tensor:
            return edits[gate](value, t) if gate in edits else value

        gates, new = step(weights, added[t], state, edited, mode)
        if alive is not None:
            new = tuple(
                torch.where(alive[t], now, old) for now, old in zip(new, state, strict=True)
            )
        state, outputs[t] = new, new[0]
        for gate in kept:
            value = gates[gate]
            if not kept[gate].numel():
                kept[gate] = value.new_empty(steps, *value.shape)
            kept[gate][t] = value
    return outputs, state


Gates = tuple[dict[str, Tensor], tuple[Tensor, ...]]
Edited = Callable[[str, Tensor], Tensor]


def _lstm_step(
    weights: _Weights, added: Tensor, state: tuple[Tensor, ...], edited: Edited, mode: str
) -> Gates:
    h, c = state
    before = added + h @ weights.hh.t()
    i, f, u, o = before.chunk(4, dim=1)
    i, f = edited("i", i.sigmoid()), edited("f", f.sigmoid())
    o, u = edited("o", o.sigmoid()), edited("u", u.tanh())
    c = edited("c", f * c + i * u)
    h = o * c.tanh()
    h = edited("h", h if weights.hr is None else h @ weights.hr.t())
    return {"h": h, "c": c, "i": i, "f": f, "o": o, "u": u}, (h, c)


def _gru_step(
    weights: _Weights, added: Tensor, state: tuple[Tensor, ...], edited: Edited, mode: str
) -> Gates:
    (h,) = state
    recurrent = h @ weights.hh.t() + weights.b_hh
    (r_x, z_x, n_x), (r_h, z_h, n_h) = added.chunk(3, dim=1), recurrent.chunk(3, dim=1)
    r, z = edited("r", (r_x + r_h).sigmoid()), edited("z", (z_x + z_h).sigmoid())
    n = edited("n", (n_x + r * n_h).tanh())
    h = edited("h", (1 - z) * n + z * h)
    return {"h": h, "r": r, "z": z, "n": n}, (h,)


def _rnn_step(
    weights: _Weights, added: Tensor, state: tuple[Tensor, ...], edited: Edited, mode: str
) -> Gates:
    before = added + state[0] @ weights.hh.t()
    h = edited("h", before.tanh() if mode == "RNN_TANH" else before.relu())
    return {"h": h}, (h,)

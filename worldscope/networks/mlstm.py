"""The multiplicative LSTM of the sentiment neuron, with every state and gate open to hooks."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from worldscope.networks.codecs import Codec
from worldscope.networks.generation import pad_right
from worldscope.networks.hooked import HookPoint, Piece
from worldscope.networks.language_model import State, TrainableModel
from worldscope.networks.recurrence import READS, EditStep, TrainingScan, scan
from worldscope.networks.threads import run_shares, share_rows

_PREFIX = "lstm.0.hook_"
_CHUNK = 256
"""Steps of a stream that are read together."""


@dataclass(frozen=True)
class MLSTMConfig:
    """Shape of a multiplicative LSTM."""

    n_symbols: int
    """Size of the alphabet."""
    d_hidden: int = 512
    """Number of units."""
    d_embed: int = 64
    """Width of the symbol embedding."""
    codec: str = "bytes"
    """Name of the codec: bytes or bpe."""

    def __post_init__(self) -> None:
        for name in ("n_symbols", "d_hidden", "d_embed"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


class MLSTMOutput(NamedTuple):
    """What a forward pass gives back."""

    logits: Float[Tensor, "batch time n_symbols"]
    """Scores of the next symbol after each symbol."""
    reads: dict[str, Float[Tensor, "batch time d"]]
    """The asked-for activations by canonical hook name, after edits."""
    state: State
    """Last h and c, each (batch, d)."""


class Weights(NamedTuple):
    """Weights as the recurrence uses them: weight norm applied, input and recurrent parts apart."""

    x: Float[Tensor, "d_embed 5*d"]
    m: Float[Tensor, "d d"]
    h: Float[Tensor, "d 4*d"]


class _Ready(NamedTuple):
    """What is kept between calls while the weights stay as they are."""

    parameters: dict[str, Tensor]
    """Copies of those that all of this was made from."""
    weights: Weights
    inputs: tuple[Float[Tensor, "n_symbols d"], Float[Tensor, "n_symbols 4*d"]]
    """Input parts of the multiplicative state and of the gates for every symbol."""


class MLSTM(TrainableModel):
    """Multiplicative LSTM language model with weight normalisation.

    Hook points `lstm.0.hook_{h,c,i,f,o,u,m}`: output, cell, input, forget and output gate,
    candidate, multiplicative state. Each is read as (batch, time, d_hidden) and edited step by
    step.

    Source: Krause et al. 2016, section 3; Radford et al. 2017, section 3 (embedding 64, weight
    normalisation of Salimans & Kingma 2016 on the four matrices).
    """

    kind = "mlstm"
    state_names = ("h", "c")

    def __init__(self, config: MLSTMConfig, codec: Codec):
        """All weights are zero until `initialise` draws them or `load_state_dict` gives them.

        Raises:
            ValueError: If the codec is not the one that the configuration names.
        """
        super().__init__()
        codec.check(config.codec, config.n_symbols)
        self.config, self.codec = config, codec
        d, e = config.d_hidden, config.d_embed
        self.embed = nn.Parameter(torch.zeros(config.n_symbols, e))
        self.v_x_m = nn.Parameter(torch.zeros(e, d))
        self.v_x_g = nn.Parameter(torch.zeros(e, 4 * d))
        self.v_h_m = nn.Parameter(torch.zeros(d, d))
        self.v_h_g = nn.Parameter(torch.zeros(d, 4 * d))
        self.gain_x_m = nn.Parameter(torch.zeros(d))
        self.gain_x_g = nn.Parameter(torch.zeros(4 * d))
        self.gain_h_m = nn.Parameter(torch.zeros(d))
        self.gain_h_g = nn.Parameter(torch.zeros(4 * d))
        self.bias = nn.Parameter(torch.zeros(4 * d))
        self.w_out = nn.Parameter(torch.zeros(d, config.n_symbols))
        self.b_out = nn.Parameter(torch.zeros(config.n_symbols))
        self.hook_dict = {_PREFIX + read: HookPoint(_PREFIX + read, d) for read in READS}
        self._ready: _Ready | None = None

    @torch.no_grad()
    def initialise(self) -> None:
        """Draws initial weights from torch's global generator.

        Recurrent blocks are orthogonal, the others normal with variance one over their inputs.
        Gains are the lengths of the columns, so that weight norm changes nothing yet. Biases are
        zero, but 1 for the forget gate, so that the cell remembers from the start.
        """
        d, e = self.config.d_hidden, self.config.d_embed
        self.embed.normal_()
        self.v_x_m.normal_().div_(e**0.5)
        self.v_x_g.normal_().div_(e**0.5)
        for block in (self.v_h_m, *self.v_h_g.split(d, dim=1)):
            block.copy_(nn.init.orthogonal_(torch.empty(d, d)))
        for name in ("x_m", "x_g", "h_m", "h_g"):
            getattr(self, f"gain_{name}").copy_(getattr(self, f"v_{name}").norm(dim=0))
        self.bias.zero_()[d : 2 * d] = 1.0
        self.w_out.normal_().div_(d**0.5)
        self.b_out.zero_()

    def normalised(self) -> Weights:
        """Weights with weight norm applied, differentiable, in the type of the arithmetic."""
        x = torch.cat(
            [_normed(self.v_x_m, self.gain_x_m), _normed(self.v_x_g, self.gain_x_g)], dim=1
        )
        m, h = _normed(self.v_h_m, self.gain_h_m), _normed(self.v_h_g, self.gain_h_g)
        return Weights(x.to(self.dtype), m.to(self.dtype), h.to(self.dtype))

    def zero_state(self, batch: int) -> State:
        """h and c before the first symbol."""
        zeros = torch.zeros(batch, self.config.d_hidden, device=self.device)
        return zeros, zeros.clone()

    def training_loss(
        self, symbols: Int[Tensor, "batch length"], state: State
    ) -> tuple[Float[Tensor, ""], State]:
        """Mean loss in nats over a chunk of continuing streams, and the state after it.

        Args:
            symbols: What is read, and one more to predict.
            state: h and c before the first symbol.
        """
        self._ready = None  # fused optimisers change weights without a new version
        weights = self.normalised()
        x_m, x_g = self._inputs(symbols[:, :-1].t(), weights)
        h, h_last, c_last = TrainingScan.apply(x_m, x_g, weights.m, weights.h, *state)  # pyright: ignore
        logits = h.flatten(0, 1) @ self.w_out.to(self.dtype)
        targets = symbols[:, 1:].t().reshape(-1)
        loss = functional.cross_entropy(logits.float() + self.b_out, targets)
        return loss, (h_last.detach(), c_last.detach())

    def stream_nats(self, streams: Int[Tensor, "batch length"]) -> float:
        """Total loss of every symbol but the first of each stream, read from zero state."""
        state, nats = self.zero_state(len(streams)), 0.0
        for start in range(0, streams.shape[1] - 1, _CHUNK):
            symbols = streams[:, start : start + _CHUNK + 1]
            output = self(symbols[:, :-1], state, first_step=start)
            nats += functional.cross_entropy(
                output.logits.flatten(0, 1), symbols[:, 1:].flatten(), reduction="sum"
            ).item()
            state = output.state
        return nats

    def stream_reads(
        self,
        inputs: Int[Tensor, "batch time"],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
        *,
        chunk: int,
    ) -> Iterator[Piece]:
        """See `HookedNetwork.stream_reads`; the state is carried from piece to piece."""
        h, c = self.zero_state(len(inputs))
        for start in range(0, inputs.shape[1], chunk):
            alive = int((lengths > start).sum())
            part, state = inputs[:alive, start : start + chunk], (h[:alive], c[:alive])
            output = self(part, state, read=names, logits=False, first_step=start)
            h, c = output.state
            yield Piece(start, start + part.shape[1], output.reads)

    @torch.no_grad()
    def forward(
        self,
        symbols: Int[Tensor, "batch time"],
        state: State | None = None,
        read: Collection[str] = (),
        *,
        logits: bool = True,
        first_step: int = 0,
    ) -> MLSTMOutput:
        """Runs the network without gradients.

        Args:
            symbols: Symbols of each text.
            state: h and c before the first symbol; zeros if None.
            read: Hook names to return, after edits.
            logits: Whether to compute the scores of the next symbol; else they are empty.
            first_step: What `hook.step` is at the first symbol, for a text that goes on.

        Raises:
            LookupError: If a hook name is unknown.
            ValueError: If the state is of another number of texts.
        """
        weights, inputs = self._prepared(begins=first_step == 0)
        symbols = symbols.to(self.device)
        keep = [self.hook_name(name).removeprefix(_PREFIX) for name in read]
        h, c = state or self.zero_state(len(symbols))
        if not len(h) == len(c) == len(symbols):
            raise ValueError(
                f"there are {len(symbols)} texts, but the state before them is of {len(h)}"
            )
        edits = self._edits(first_step)

        def run(rows: slice) -> MLSTMOutput:
            x_m, x_g = inputs(symbols[rows].t())
            done = scan(x_m, x_g, weights.m, weights.h, (h[rows], c[rows]), keep, edits)
            reads = {_PREFIX + short: read.transpose(0, 1) for short, read in done.reads.items()}
            scores = self.unembed(done.h) if logits else done.h[..., :0]
            return MLSTMOutput(scores.transpose(0, 1), reads, done.state)

        in_one_piece = edits or self.device.type != "cpu"
        shares = [slice(None)] if in_one_piece else share_rows(len(symbols))
        output = _joined(run_shares(run, shares))
        self.runs += 1
        return output

    @torch.no_grad()
    def unembed(self, h: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows n_symbols"]:
        """Scores of the next symbol, given the outputs h."""
        scores = h.flatten(0, -2).to(self.dtype) @ self.w_out.to(self.dtype)
        return scores.float().add_(self.b_out).unflatten(0, h.shape[:-1])

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[Float[Tensor, "batch n"], State]:
        """See `LanguageModel.begin`; shorter prompts are padded on the right and cut there."""
        padded, lengths = pad_right(prompts, self.device)
        reads = self(padded, read=("hook_h", "hook_c"), logits=False).reads
        rows, last = torch.arange(len(padded), device=self.device), lengths - 1
        h, c = (reads[_PREFIX + name][rows, last] for name in "hc")
        return self.unembed(h), (h, c)

    def go_on(
        self, symbols: Int[Tensor, " batch"], state: State, step: int
    ) -> tuple[Float[Tensor, "batch n"], State]:
        """See `LanguageModel.go_on`."""
        output = self(symbols.unsqueeze(1), state, first_step=step)
        return output.logits[:, 0], output.state

    def _inputs(self, symbols: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
        embedded = self._embedded(symbols)
        d = self.config.d_hidden
        x_m = embedded @ weights.x[:, :d]
        x_g = embedded @ weights.x[:, d:] + self.bias.to(self.dtype)
        return x_m, x_g

    def _embedded(self, symbols: Int[Tensor, "*rows"]) -> Float[Tensor, "*rows d_embed"]:
        if symbols.is_cuda and torch.is_grad_enabled():
            # The gradient of a lookup cannot be captured in a CUDA graph; that of a product can.
            alphabet = torch.arange(self.config.n_symbols, device=symbols.device)
            one_hot = (symbols.unsqueeze(-1) == alphabet).to(self.dtype)
            return one_hot @ self.embed.to(self.dtype)
        return functional.embedding(symbols, self.embed).to(self.dtype)

    def _edits(self, first_step: int) -> dict[str, EditStep]:
        def at_step(point: HookPoint) -> EditStep:
            return lambda value, step: point.apply(value, first_step + step)

        return {
            name.removeprefix(_PREFIX): at_step(point)
            for name, point in self.hook_dict.items()
            if point.edits
        }

    def _prepared(
        self, *, begins: bool
    ) -> tuple[Weights, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        """The weights, and what gives the input parts of symbols.

        Both are kept while the weights stay as they are, which is looked at where a text begins.
        In training they never stay.
        """
        if any(parameter.requires_grad for parameter in self.parameters()):
            weights = self.normalised()
            return weights, lambda symbols: self._inputs(symbols, weights)
        if self._ready is None or not self._is_ready(self._ready, begins):
            weights = self.normalised()
            alphabet = torch.arange(self.config.n_symbols, device=self.device)
            copies = {name: tensor.clone() for name, tensor in self.named_parameters()}
            self._ready = _Ready(copies, weights, self._inputs(alphabet, weights))
        x_m, x_g = self._ready.inputs

        def looked_up(symbols: Tensor) -> tuple[Tensor, Tensor]:
            return functional.embedding(symbols, x_m), functional.embedding(symbols, x_g)

        return self._ready.weights, looked_up

    def _is_ready(self, ready: _Ready, compare: bool) -> bool:
        """Whether what was kept can be used; if compared, whatever may have changed the weights."""
        if (self.dtype, self.device) != (ready.weights.m.dtype, ready.weights.m.device):
            return False
        kept = ready.parameters
        return not compare or all(torch.equal(p, kept[n]) for n, p in self.named_parameters())


def _joined(parts: Sequence[MLSTMOutput]) -> MLSTMOutput:
    """One batch again."""
    if len(parts) == 1:
        return parts[0]
    logits, reads, states = zip(*parts, strict=True)
    h, c = zip(*states, strict=True)
    names = reads[0]
    return MLSTMOutput(
        torch.cat(logits),
        {name: torch.cat([read[name] for read in reads]) for name in names},
        (torch.cat(h), torch.cat(c)),
    )


def _normed(v: Float[Tensor, "rows d"], gain: Float[Tensor, " d"]) -> Float[Tensor, "rows d"]:
    """Columns of v, each scaled to the length of its gain."""
    return v * (gain / v.norm(dim=0))

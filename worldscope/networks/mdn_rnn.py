"""The memory of World Models: an LSTM that predicts the next latent as a mixture of Gaussians.

Source: Ha & Schmidhuber 2018, "World models", section 2.3 and appendix A.2; the published weights
of CarRacing (`rnn.json`: whole numbers, ten thousand times the values).
"""

import json
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from worldscope.networks.hooked import HookedNetwork, HookPoint, NamesFilter, Piece
from worldscope.networks.module_inputs import check_finite
from worldscope.networks.torch_recurrent import lstm_of_tensorflow, recurrent_hooks, run_recurrent

MIXTURES = 5
_FILE = "carracing_rnn.json"


class MDNOutput(NamedTuple):
    """What a forward pass gives back."""

    log_pi: Float[Tensor, "batch time z k"]
    """Logarithm of the weight of each Gaussian, for every number of the latent by itself."""
    mu: Float[Tensor, "batch time z k"]
    sigma: Float[Tensor, "batch time z k"]
    reads: dict[str, Float[Tensor, "batch time ..."]]
    """The asked-for activations by canonical hook name, after edits."""
    state: tuple[Float[Tensor, "1 batch d"], ...]
    """Last h and c."""


class MDNRNN(HookedNetwork):
    """Reads a latent and an action at each step, (time, z + actions).

    Hooks `lstm.0.hook_{h,c,i,f,o,u}` and `mdn.hook_{pi,mu,sigma}` (batch, time, z, mixtures).
    """

    def __init__(
        self, lstm: nn.LSTM, w_out: Float[Tensor, "d outputs"], b_out: Float[Tensor, " outputs"]
    ):
        """All weights are given; the outputs are z times (log-weights, means, log-deviations)."""
        super().__init__()
        self.lstm, self.w_out, self.b_out = lstm, nn.Parameter(w_out), nn.Parameter(b_out)
        self.d_latent = w_out.shape[1] // (3 * MIXTURES)
        self.d_action = lstm.input_size - self.d_latent
        points = [HookPoint(n, width) for n, width in recurrent_hooks(lstm, "lstm").items()]
        points += [
            HookPoint(f"mdn.hook_{part}", MIXTURES, ("batch", "time", "z", "mixture"))
            for part in ("pi", "mu", "sigma")
        ]
        self.hook_dict = {point.name: point for point in points}

    def encode(self, value: Any, /) -> Float[Tensor, "time d_in"]:
        """A sequence of latents and actions as float32.

        Raises:
            ValueError: If it is not of shape (time, z + actions), or a number is not finite.
        """
        sequence = torch.as_tensor(value, dtype=torch.float32)
        if sequence.ndim != 2 or sequence.shape[1] != self.lstm.input_size:
            raise ValueError(
                f"the input has the shape {tuple(sequence.shape)}; this network reads (time, "
                f"{self.lstm.input_size}): {self.d_latent} numbers of the latent, then "
                f"{self.d_action} of the action"
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
        first_step: int = 0,
    ) -> MDNOutput:
        """Runs the network without gradients.

        Args:
            inputs: Latent and action of each step.
            state: h and c before the first step; zeros if None.
            read: Hook names to return, after edits.
            first_step: What `hook.step` is at the first step, for an input that goes on.

        Raises:
            LookupError: If a hook name is unknown.
        """
        names = self.hook_names(list(read))
        edits = {
            name: lambda value, step, p=point: p.apply(value, first_step + step)
            for name, point in self.hook_dict.items()
            if point.edits and name.startswith("lstm.")
        }
        of_lstm = [name for name in names if name.startswith("lstm.")]
        if of_lstm or edits:
            h, last, reads = run_recurrent(
                self.lstm, inputs, state, prefix="lstm", read=of_lstm, edits=edits
            )
        else:
            (h, last), reads = self.lstm(inputs, state), {}
        self.runs += 1
        outputs = (h @ self.w_out + self.b_out).unflatten(-1, (self.d_latent, 3 * MIXTURES))
        log_pi, mu, log_sigma = outputs.chunk(3, dim=-1)
        pi = self._edited("pi", log_pi.softmax(-1), first_step)
        mu = self._edited("mu", mu, first_step)
        sigma = self._edited("sigma", log_sigma.exp(), first_step)
        log_pi = pi.log() if self.hook_dict["mdn.hook_pi"].edits else log_pi.log_softmax(-1)
        available = {**reads, "mdn.hook_pi": pi, "mdn.hook_mu": mu, "mdn.hook_sigma": sigma}
        return MDNOutput(log_pi, mu, sigma, {name: available[name] for name in names}, last)

    def loss(
        self, inputs: Float[Tensor, "batch time d_in"], following: Float[Tensor, "batch time z"]
    ) -> Float[Tensor, "batch time"]:
        """Negative log-likelihood of the latent of the next step, in nats summed over its numbers.

        Args:
            inputs: Latent and action of each step.
            following: Latent of the step after each.
        """
        output: MDNOutput = self(inputs)
        apart = (following.unsqueeze(-1) - output.mu) / output.sigma
        log_normal = -0.5 * apart.square() - output.sigma.log() - 0.5 * math.log(2 * math.pi)
        return -(output.log_pi + log_normal).logsumexp(-1).sum(-1)

    def rollout(
        self,
        latent: Float[Tensor, " z"],
        actions: Float[Tensor, "time actions"],
        *,
        seeds: int | Sequence[int] = 0,
        temperature: float = 1.0,
    ) -> Float[Tensor, "samples time z"]:
        """Dreams on from a latent under given actions, once for each seed.

        Every sample draws from a generator of its own. The temperature τ divides the log-weights
        and multiplies the deviations by √τ (section 2.3 of the paper).

        Raises:
            ValueError: If the shapes are not those of this network, or the temperature is not
                above 0.
        """
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; it must be above 0")
        self.encode(torch.cat([latent.expand(len(actions), -1), actions], dim=1))
        each = [seeds] if isinstance(seeds, int) else list(seeds)
        generators = [torch.Generator().manual_seed(seed) for seed in each]
        z, state, dreamt = latent.expand(len(each), -1), None, []
        for step, action in enumerate(actions):
            both = torch.cat([z, action.expand(len(each), -1)], dim=1).unsqueeze(1)
            output: MDNOutput = self(both.to(self.device), state, first_step=step)
            state = output.state
            z = _drawn(output, generators, temperature)
            dreamt.append(z)
        return torch.stack(dreamt, dim=1)

    def stream_reads(
        self,
        inputs: Float[Tensor, "batch time d_in"],
        lengths: Int[np.ndarray, " batch"],
        names: Sequence[str],
        *,
        chunk: int,
    ) -> Iterator[Piece]:
        """See `HookedNetwork.stream_reads`; the state is carried from piece to piece."""
        state = None
        for start in range(0, inputs.shape[1], chunk):
            alive = int((lengths > start).sum())
            if state is not None:
                state = tuple(part[:, :alive] for part in state)
            part = inputs[:alive, start : start + chunk].to(self.device)
            output: MDNOutput = self(part, state, read=names, first_step=start)
            state = output.state
            yield Piece(start, start + part.shape[1], output.reads)

    def run_with_cache(
        self, inputs: Float[Tensor, "batch time d_in"], names_filter: NamesFilter = None
    ) -> tuple[MDNOutput, dict[str, Tensor]]:
        """Output and activations by canonical hook name; None keeps all."""
        output: MDNOutput = self(inputs, read=self.hook_names(names_filter))
        return output, output.reads

    def _edited(self, part: str, value: Tensor, first_step: int) -> Tensor:
        point = self.hook_dict[f"mdn.hook_{part}"]
        if not point.edits:
            return value
        steps = enumerate(value.unbind(1), first_step)
        return torch.stack([point.apply(each, step) for step, each in steps], dim=1)


def is_mdn_rnn(path: Path) -> bool:
    """Whether a file, or the one of this name in a folder, holds such a network."""
    return _file(path).is_file() and _file(path).name.endswith("rnn.json")


def load_mdn_rnn(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> MDNRNN:
    """The published network from its JSON file.

    Args:
        path: The file, or its folder.
        device: Where to put it.
        dtype: float32 only.

    Raises:
        ValueError: If the file is damaged, or for another dtype.
    """
    if dtype != torch.float32:
        raise ValueError(f"dtype is {dtype}; an MDN-RNN is read in torch.float32")
    file = _file(Path(path))
    try:
        numbers = [np.array(part, dtype=np.float64) for part in json.loads(file.read_text())]
        w_out, b_out, kernel, bias = (torch.from_numpy(part / 1e4).float() for part in numbers)
        network = MDNRNN(lstm_of_tensorflow([kernel], [bias]), w_out, b_out)
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise ValueError(f"{file} holds no MDN-RNN ({str(error):.120}); copy it again") from None
    return network.requires_grad_(False).eval().to(device)


def _file(path: Path) -> Path:
    return path / _FILE if path.is_dir() else path


def _drawn(
    output: MDNOutput, generators: Sequence[torch.Generator], temperature: float
) -> Float[Tensor, "samples z"]:
    """The next latent of every sample."""
    pi = (output.log_pi[:, -1] / temperature).softmax(-1).cpu()
    mu, sigma = output.mu[:, -1].cpu(), output.sigma[:, -1].cpu() * temperature**0.5
    drawn = []
    for row, generator in enumerate(generators):
        chosen = torch.multinomial(pi[row], 1, generator=generator)
        noise = torch.randn(len(chosen), generator=generator)
        centre, width = (part[row].gather(1, chosen).squeeze(1) for part in (mu, sigma))
        drawn.append(centre + width * noise)
    return torch.stack(drawn)

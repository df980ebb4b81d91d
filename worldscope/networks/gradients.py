"""The loss of a chunk and its gradients: as written, or as one CUDA graph.

A chunk of the recurrence is thousands of small kernels. On a GPU, starting them one by one takes
longer than running them, so that there the whole chunk, forwards and backwards, is captured once
and started as one graph.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from worldscope.networks.language_model import State, TrainableModel

LossAndGradients = Callable[[Tensor, State], tuple[Tensor, State]]
"""From symbols (batch, chunk + 1) and the state before them to the loss and the state after them;
the gradients are left in the parameters."""
_WARM_UPS = 3


def loss_and_gradients(network: TrainableModel, *, batch: int, chunk: int) -> LossAndGradients:
    """The fastest way to the gradients on the network's device."""
    if network.device.type == "cuda":
        return GraphedGradients(network, batch=batch, chunk=chunk)

    def eager(symbols: Tensor, state: State) -> tuple[Tensor, State]:
        network.zero_grad(set_to_none=True)
        loss, state = network.training_loss(symbols, state)
        loss.backward()
        return loss.detach(), state

    return eager


class GraphedGradients:
    """Loss and gradients by one CUDA graph of fixed shapes.

    What a call returns, and the gradients, are overwritten by the next call.
    """

    def __init__(self, network: TrainableModel, *, batch: int, chunk: int):
        """Captures the graph; weights and gradients are as before, but gradients are unset."""
        self._symbols = torch.zeros(batch, chunk + 1, dtype=torch.long, device=network.device)
        self._state = network.zero_state(batch)
        self._warm_up(network)
        network.zero_grad(set_to_none=True)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            loss, self._last = network.training_loss(self._symbols, self._state)
            loss.backward()
            self._loss = loss.detach()

    def __call__(self, symbols: Tensor, state: State) -> tuple[Tensor, State]:
        """See `LossAndGradients`."""
        self._symbols.copy_(symbols)
        for held, given in zip(self._state, state, strict=True):
            held.copy_(given)
        self._graph.replay()
        return self._loss, self._last

    def _warm_up(self, network: TrainableModel) -> None:
        """Lets libraries set themselves up on a stream of their own, as capture requires."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                network.training_loss(self._symbols, self._state)[0].backward()
        torch.cuda.current_stream().wait_stream(stream)

"""The peer: a multiplicative LSTM as one writes it in PyTorch, a module called at every step.

It is written as a careful user would: layers of `torch.nn`, the weight norm of
`torch.nn.utils.parametrizations` cached for the loop, inputs taken apart by `unbind`, so that
autograd makes no full zero tensor for each step.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from worldscope.networks.mlstm import MLSTM

State = tuple[Tensor, ...]


class PlainCell(nn.Module):
    """One step."""

    def __init__(self, d_embed: int, d: int):
        super().__init__()
        self.x_m = nn.Linear(d_embed, d, bias=False)
        self.x_g = nn.Linear(d_embed, 4 * d)
        self.h_m = nn.Linear(d, d, bias=False)
        self.h_g = nn.Linear(d, 4 * d, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> State:
        """h and c after a symbol."""
        m = self.x_m(x) * self.h_m(h)
        i, f, o, u = (self.x_g(x) + self.h_g(m)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(u)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, c


class PlainMLSTM(nn.Module):
    """The same network as one of ours, with the same weights."""

    def __init__(self, network: MLSTM):
        """Copies the weights, weight norm applied."""
        super().__init__()
        d, weights = network.config.d_hidden, network.normalised()
        self.d_hidden = d
        self.embed = nn.Embedding(network.config.n_symbols, network.config.d_embed)
        self.cell = PlainCell(network.config.d_embed, d)
        self.out = nn.Linear(d, network.config.n_symbols)
        values = {
            self.embed.weight: network.embed,
            self.cell.x_m.weight: weights.x[:, :d].t(),
            self.cell.x_g.weight: weights.x[:, d:].t(),
            self.cell.x_g.bias: network.bias,
            self.cell.h_m.weight: weights.m.t(),
            self.cell.h_g.weight: weights.h.t(),
            self.out.weight: network.w_out.t(),
            self.out.bias: network.b_out,
        }
        with torch.no_grad():
            for parameter, value in values.items():
                parameter.copy_(value)

    def normalise(self) -> None:
        """Puts weight norm on the four matrices, to be trained like ours."""
        for layer in (self.cell.x_m, self.cell.x_g, self.cell.h_m, self.cell.h_g):
            weight_norm(layer)

    def forward(self, symbols: Tensor, state: State) -> tuple[list[Tensor], State]:
        """h of every step, and the last h and c."""
        h, c = state
        outputs = []
        with parametrize.cached():
            for x in self.embed(symbols).unbind(dim=1):
                h, c = self.cell(x, h, c)
                outputs.append(h)
        return outputs, (h, c)

    def zero_state(self, batch: int) -> State:
        """h and c before the first symbol."""
        return torch.zeros(batch, self.d_hidden), torch.zeros(batch, self.d_hidden)

    def training_loss(self, symbols: Tensor, state: State) -> tuple[Tensor, State]:
        """Mean loss in nats over a chunk of continuing streams, and the state after it."""
        outputs, (h, c) = self(symbols[:, :-1], state)
        logits = self.out(torch.cat(outputs))
        loss = functional.cross_entropy(logits.float(), symbols[:, 1:].t().flatten())
        return loss, (h.detach(), c.detach())

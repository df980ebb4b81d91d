"""Training the multiplicative LSTM on bytes: whole steps, optimiser and clipping included."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.plain_mlstm import PlainMLSTM
from benchmarks.timing import NO_BF16, Row, check_within, compare, show
from worldscope.networks.arithmetic import has_bf16
from worldscope.networks.codecs import BytesCodec
from worldscope.networks.corpus import Corpus, Streams, pack
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.training import TrainConfig
from worldscope.worlds.reviews import load_reviews


def rows(quick: bool) -> Iterator[Row]:
    """Ours in the fastest type of this machine beside the plain autograd loop in both types."""
    config = TrainConfig(batch=4, chunk=8) if quick else TrainConfig()
    corpus = pack(load_reviews("short").inputs, BytesCodec(), seed=0)
    bf16 = has_bf16(torch.device("cpu"))
    for d_hidden in (16,) if quick else (512, 1_024):
        work = f"train {d_hidden} units, {config.batch} streams × {config.chunk} bytes a step"
        for autocast, bar in ((False, 3.0), (True, 1.3)):
            name = f"plain autograd loop, {'bf16' if autocast else 'fp32'}"
            row = Row(work, "bytes/s", name, bar=bar)
            if autocast and not bf16:
                yield replace(row, absent=NO_BF16)
            else:
                yield _beside_plain(row, d_hidden, corpus, config, autocast, 2 if quick else 5)


class Training:
    """A model that is trained step by step, as `Trainer` does it."""

    def __init__(
        self, model: MLSTM | PlainMLSTM, corpus: Corpus, config: TrainConfig, *, autocast: bool
    ):
        self.model, self.config, self.autocast = model, config, autocast
        self.streams = Streams(corpus, batch=config.batch, time=config.chunk)
        self.optimiser = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
        self.state, self.step = model.zero_state(config.batch), 0

    def advance(self) -> float:
        """One step; its loss in nats a byte."""
        symbols = self.streams.chunk(self.step).symbols
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            loss, self.state = self.model.training_loss(symbols, self.state)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip, foreach=True)
        self.optimiser.step()
        self.step += 1
        return loss.item()


def _beside_plain(
    row: Row, d_hidden: int, corpus: Corpus, config: TrainConfig, autocast: bool, repeats: int
) -> Row:
    network = new_mlstm(d_hidden=d_hidden)
    plain = PlainMLSTM(network)
    plain.normalise()
    network.dtype = torch.bfloat16 if has_bf16(network.device) else torch.float32
    ours = Training(network, corpus, config, autocast=False)
    peer = Training(plain, corpus, config, autocast=autocast)
    losses = [(ours.advance(), peer.advance()) for _ in range(5)]
    of_ours, of_peer = losses[-1]
    equal = check_within(abs(of_ours / of_peer - 1), 0.02, "losses of the fifth step, relatively,")
    amount = config.batch * config.chunk
    return compare(replace(row, equal=equal), amount, ours.advance, peer.advance, repeats=repeats)


if __name__ == "__main__":
    show([rows])

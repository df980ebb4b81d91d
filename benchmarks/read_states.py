"""Reading the cell states of reviews, reduced to the last one and the mean of each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from benchmarks.plain_mlstm import PlainMLSTM
from benchmarks.timing import NO_BF16, Row, check_within, compare, fastest, show
from worldscope.activations.reading import read_states, stream_states
from worldscope.networks.arithmetic import has_bf16
from worldscope.networks.loading import new_mlstm
from worldscope.networks.mlstm import MLSTM
from worldscope.worlds.reviews import load_reviews

BATCHES = (64, 128, 256)
"""What the peer may choose from."""
HOOK = "lstm.0.hook_c"


def rows(quick: bool) -> Iterator[Row]:
    """Ours in the fastest type of this machine beside the plain loop, and beside our forward."""
    d_hidden, count, repeats = (16, 12, 2) if quick else (512, 1_000, 3)
    shipped = load_reviews("short").inputs
    texts = list(islice(cycle(sorted(shipped, key=len) if quick else shipped), count))
    network = new_mlstm(d_hidden=d_hidden).requires_grad_(False).eval()
    model = PlainMLSTM(network).requires_grad_(False).eval()
    bf16 = has_bf16(network.device)
    network.dtype = torch.bfloat16 if bf16 else torch.float32
    work = f"read the cell states of {count:,} reviews, {d_hidden} units"
    for autocast in (False, True):
        for sort in (False, True):
            name = f"plain loop, {'bf16' if autocast else 'fp32'}{', sorted' if sort else ''}"
            row = Row(work, "bytes/s", name, bar=3.0)
            if autocast and not bf16:
                yield replace(row, absent=NO_BF16)
            else:
                yield _beside_plain(row, network, model, texts, sort, autocast, repeats)
    row = Row(work, "bytes/s", "our forward pass alone", bar=1 / 1.3)
    yield _beside_forward(row, network, texts, repeats)


def _beside_plain(
    row: Row,
    network: MLSTM,
    model: PlainMLSTM,
    texts: Sequence[str],
    sort: bool,
    autocast: bool,
    repeats: int,
) -> Row:
    def peer(batch: int, some: Sequence[str] = texts) -> dict[str, np.ndarray]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return read_plainly(model, network, some, batch, sort)

    batch = fastest(BATCHES, lambda batch: peer(batch, texts[: max(BATCHES)]))
    ours, theirs = read_states(network, texts), peer(batch)
    apart = max(np.abs(ours[HOOK, position] - theirs[position]).max() for position in theirs)
    equal = check_within(apart, 1e-4 if network.dtype == torch.float32 else 0.05, "states")
    return compare(
        replace(row, peer_name=f"{row.peer_name}, batch {batch}", equal=equal),
        _bytes(network, texts),
        lambda: read_states(network, texts),
        lambda: peer(batch),
        repeats=repeats,
    )


def _beside_forward(row: Row, network: MLSTM, texts: Sequence[str], repeats: int) -> Row:
    def forward() -> None:
        for _ in stream_states(network, texts, hooks=()):
            pass

    return compare(
        replace(row, equal="the same passes, nothing read"),
        _bytes(network, texts),
        lambda: read_states(network, texts),
        forward,
        repeats=repeats,
    )


@torch.inference_mode()
def read_plainly(
    model: PlainMLSTM, network: MLSTM, texts: Sequence[str], batch: int, sort: bool
) -> dict[str, np.ndarray]:
    """Final and mean cell state of each text, gathered by a forward hook on the cell."""
    encoded = [torch.tensor(network.encode(text)) for text in texts]
    order = list(range(len(texts)))
    if sort:
        order.sort(key=lambda row: -len(encoded[row]))
    reduced = {name: np.empty((len(texts), model.d_hidden)) for name in ("final", "mean")}
    states: list[torch.Tensor] = []
    hook = model.cell.register_forward_hook(lambda *call: states.append(call[2][1]))
    for first in range(0, len(order), batch):
        chosen = order[first : first + batch]
        symbols = pad_sequence([encoded[row] for row in chosen], batch_first=True)
        model(symbols, model.zero_state(len(chosen)))
        acts = torch.stack(states, dim=1)
        states.clear()
        lengths = torch.tensor([len(encoded[row]) for row in chosen])
        mask = (torch.arange(symbols.shape[1]) < lengths[:, None]).to(acts)
        sums = (acts * mask.unsqueeze(2)).sum(1)  # einsum would round its sums to bfloat16
        reduced["final"][chosen] = acts[torch.arange(len(chosen)), lengths - 1].numpy()
        reduced["mean"][chosen] = (sums / lengths[:, None]).numpy()
    hook.remove()
    return reduced


def _bytes(network: MLSTM, texts: Sequence[str]) -> int:
    return sum(len(network.encode(text)) for text in texts)


if __name__ == "__main__":
    show([rows])

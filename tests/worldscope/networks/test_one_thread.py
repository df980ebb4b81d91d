"""A network is used by one thread at a time; another is refused, and nobody waits for ever."""

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from worldscope.networks.codecs import BytesCodec
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.loading import new_mlstm
from worldscope.networks.one_thread import OneThread
from worldscope.networks.transformer import Transformer, TransformerConfig
from worldscope.networks.wrapped import wrap

SYMBOLS = torch.zeros(1, 4, dtype=torch.long)
X = torch.zeros(1, 4, 3)
CONFIG = TransformerConfig(256, d_model=16, n_layers=1, n_heads=2, n_ctx=8, codec="bytes")
NETWORKS: dict[str, tuple[Callable[[], HookedNetwork], torch.Tensor, str]] = {
    "recurrent": (lambda: new_mlstm(d_hidden=4), SYMBOLS, "lstm.0.hook_h"),
    "transformer": (lambda: Transformer(CONFIG, BytesCodec()), SYMBOLS, "blocks.0.hook_out"),
    "wrapped": (lambda: wrap(nn.Linear(3, 3), X), X, "hook_out"),
    "recurrent module": (lambda: wrap(nn.GRU(3, 3), X), X, "gru.0.hook_h"),
}


def elsewhere(use: Callable[[], object]) -> BaseException | None:
    """What a use of something raises in another thread."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            use()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
    return raised[0] if raised else None


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("block", ["hooks", "listening"])
def test_every_use_is_refused_while_another_thread_is_in_a_block(kind: str, block: str) -> None:
    make, inputs, name = NETWORKS[kind]
    network: Any = make()
    lengths = np.full(1, inputs.shape[1])

    def edit() -> None:
        with network.hooks([(name, lambda value, _: value)]):
            network(inputs)

    def listen() -> None:
        with network.listening([name]):
            network(inputs)

    uses: list[Callable[[], object]] = [
        edit,
        listen,
        lambda: network(inputs),
        lambda: network.run_with_cache(inputs, names_filter=name),
        lambda: next(network.stream_reads(inputs, lengths, [name], chunk=2)),
    ]
    given = [(name, lambda value, _: value + 1)] if block == "hooks" else [name]
    with getattr(network, block)(given) as held:
        for use in uses:
            error = elsewhere(use)
            assert isinstance(error, RuntimeError)
            assert "another thread is using this network" in str(error)
        if block == "listening":
            assert held == [], "nothing of another thread was recorded"
        network(inputs)
    assert not any(elsewhere(use) for use in uses)


def test_a_pass_is_refused_while_another_is_under_way() -> None:
    network = wrap(nn.Linear(3, 3))
    seen = []
    with network.hooks([("hook_out", lambda *_: seen.append(elsewhere(lambda: network(X))))]):
        network(X)
    assert [type(error) for error in seen] == [RuntimeError]


def test_a_stream_that_is_not_read_to_its_end_holds_nothing() -> None:
    network = new_mlstm(d_hidden=4)
    stream = network.stream_reads(SYMBOLS, np.array([4]), ["lstm.0.hook_h"], chunk=1)
    next(stream)
    assert elsewhere(lambda: network(SYMBOLS)) is None
    assert elsewhere(lambda: next(stream)) is None


def test_one_thread_goes_in_as_deep_as_it_likes_and_leaves_whatever_happens() -> None:
    inside = OneThread()
    with inside:
        with pytest.raises(ZeroDivisionError), inside, inside:
            raise ZeroDivisionError
        assert isinstance(elsewhere(inside.__enter__), RuntimeError)
    assert elsewhere(inside.__enter__) is None


def test_a_block_that_another_thread_leaves_is_free() -> None:
    inside = OneThread()
    inside.__enter__()
    assert elsewhere(inside.__exit__) is None
    assert elsewhere(inside.__enter__) is None


def test_a_copy_is_another_network_of_the_same_digest() -> None:
    network = new_mlstm(d_hidden=4)
    with network.hooks([("lstm.0.hook_h", lambda value, _: value)]):
        other, sent = copy.deepcopy(network), pickle.dumps(network.one_thread)
        assert elsewhere(lambda: other(SYMBOLS)) is None
        assert elsewhere(pickle.loads(sent).__enter__) is None
    assert other.digest == network.digest

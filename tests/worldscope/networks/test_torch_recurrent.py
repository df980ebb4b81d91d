"""Every state and gate against the fused module of torch and a recurrence in numpy."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from worldscope.networks.hooked import HookPoint
from worldscope.networks.recurrent_module import RecurrentModule
from worldscope.networks.wrapped import wrap

MODULES = {
    "lstm": lambda: nn.LSTM(3, 4),
    "lstm, two layers, both directions": lambda: nn.LSTM(3, 4, 2, bidirectional=True),
    "lstm, projected": lambda: nn.LSTM(3, 5, 2, proj_size=2, batch_first=True, bidirectional=True),
    "lstm, no bias": lambda: nn.LSTM(3, 4, bias=False, batch_first=True),
    "gru": lambda: nn.GRU(3, 4, 2, batch_first=True),
    "gru, both directions": lambda: nn.GRU(3, 4, bidirectional=True),
    "rnn, tanh": lambda: nn.RNN(3, 4, 2, bidirectional=True),
    "rnn, relu": lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
}


PROJECTED = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


@pytest.fixture(
    params=[pytest.param(name, marks=PROJECTED) if "proj" in name else name for name in MODULES]
)
def network(request: pytest.FixtureRequest) -> RecurrentModule:
    torch.manual_seed(0)
    wrapped = wrap(MODULES[request.param]().eval())
    assert isinstance(wrapped, RecurrentModule)
    return wrapped


def fused(module: Any, x: Tensor, state: Any = None) -> tuple[Tensor, tuple[Tensor, ...]]:
    output, last = module(x if module.batch_first else x.transpose(0, 1), state)
    output = output if module.batch_first else output.transpose(0, 1)
    return output, last if isinstance(last, tuple) else (last,)


def test_stepwise_equals_fused_with_and_without_a_first_state(network: RecurrentModule) -> None:
    x = torch.randn(2, 6, 3)
    expected, last = fused(network.module, x)
    for state in (None, tuple(torch.randn_like(part) for part in last)):
        given = state if state is None or len(state) == 2 else state[0]
        expected, last = fused(network.module, x, given)
        output = network(x, state, read=list(network.hook_dict))
        torch.testing.assert_close(output.output, expected, rtol=0, atol=1e-5)
        for ours, theirs in zip(output.state, last, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
        torch.testing.assert_close(network(x, state).output, expected, rtol=0, atol=0)


def test_the_last_layer_is_the_output_and_steps_are_of_the_input(network: RecurrentModule) -> None:
    x = torch.randn(2, 6, 3)
    output, reads = network.run_with_cache(x)
    top = f"{network.prefix}.{network.module.num_layers - 1}"
    parts = [reads[f"{top}.hook_h"]]
    if network.module.bidirectional:
        parts.append(reads[f"{top}.reverse.hook_h"])
    torch.testing.assert_close(torch.cat(parts, 2), output, rtol=0, atol=1e-6)


def test_inputs_padded_at_the_end_are_read_as_each_alone(network: RecurrentModule) -> None:
    x, lengths = torch.randn(3, 7, 3), np.array([7, 4, 2])
    names = list(network.hook_dict)
    (piece,) = network.stream_reads(x, lengths, names, chunk=1)
    state = network(x, read=names, lengths=lengths).state
    for row, length in enumerate(lengths):
        alone = network(x[row : row + 1, :length], read=names)
        for name in names:
            torch.testing.assert_close(
                piece.reads[name][row, :length], alone.reads[name][0], rtol=0, atol=1e-6
            )
        for ours, theirs in zip(state, alone.state, strict=True):
            torch.testing.assert_close(ours[:, row], theirs[:, 0], rtol=0, atol=1e-6)


def test_lengths_agree_with_packed_sequences(network: RecurrentModule) -> None:
    x, lengths = torch.randn(3, 7, 3), np.array([7, 4, 2])
    packed = pack_padded_sequence(x, torch.from_numpy(lengths), batch_first=True)
    expected, _ = pad_packed_sequence(network.module(packed)[0], batch_first=True)
    output = network(x, read=list(network.hook_dict), lengths=lengths).output
    for row, length in enumerate(lengths):
        torch.testing.assert_close(output[row, :length], expected[row, :length], rtol=0, atol=1e-6)


def test_gates_of_an_lstm_and_a_gru_equal_a_recurrence_in_numpy() -> None:
    def sigmoid(value: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-value))

    x = torch.randn(1, 5, 3)
    lstm, gru = nn.LSTM(3, 4), nn.GRU(3, 4)
    w, v, b, d = (p.detach().double().numpy() for p in lstm.parameters())
    reads = wrap(lstm).run_with_cache(x)[1]  # pyright: ignore
    h = c = np.zeros(4)
    for t, value in enumerate(x[0].double().numpy()):
        i, f, u, o = np.split(w @ value + b + v @ h + d, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(u)
        h = sigmoid(o) * np.tanh(c)
        for gate, now in zip(
            "ifuoch", (sigmoid(i), sigmoid(f), np.tanh(u), sigmoid(o), c, h), strict=True
        ):
            np.testing.assert_allclose(reads[f"lstm.0.hook_{gate}"][0, t], now, atol=1e-5)
    w, v, b, d = (p.detach().double().numpy() for p in gru.parameters())
    reads, h = wrap(gru).run_with_cache(x)[1], np.zeros(4)  # pyright: ignore
    for t, value in enumerate(x[0].double().numpy()):
        (a, e, g), (k, m, q) = np.split(w @ value + b, 3), np.split(v @ h + d, 3)
        r, z = sigmoid(a + k), sigmoid(e + m)
        n = np.tanh(g + r * q)
        h = (1 - z) * n + z * h
        for gate, now in zip("rznh", (r, z, n, h), strict=True):
            np.testing.assert_allclose(reads[f"gru.0.hook_{gate}"][0, t], now, atol=1e-5)


def test_an_edit_changes_what_follows_it_in_its_direction() -> None:
    network = wrap(nn.LSTM(3, 4, 2, bidirectional=True).eval())
    assert isinstance(network, RecurrentModule)
    x, names = torch.randn(1, 6, 3), ["lstm.0.hook_c", "lstm.0.reverse.hook_c"]
    before = network(x, read=names).reads

    def at_three(value: Tensor, hook: HookPoint) -> Tensor:
        assert value.shape == (1, 1, 4)
        return value + 1 if hook.step == 3 else value

    for name, untouched, changed in (
        (names[0], slice(0, 3), slice(3, 6)),
        (names[1], slice(4, 6), slice(0, 4)),
    ):
        with network.hooks([(name, at_three)]):
            after = network(x, read=names)
        difference = (after.reads[name] - before[name]).abs().amax(-1)[0]
        assert not difference[untouched].any()
        assert (difference[changed] > 1e-6).all()
        assert not torch.allclose(after.output, network(x).output, atol=1e-4)


def test_a_clamped_output_gate_silences_the_module() -> None:
    module = nn.LSTM(3, 4)
    network = wrap(module)
    with network.hooks([("lstm.0.hook_o", lambda value, _: torch.zeros_like(value))]):
        output = network(torch.randn(2, 5, 3))
    assert not output.output.any()
    assert not output.state[0].any()
    assert output.state[1].any()


def test_a_wrong_width_is_said() -> None:
    with pytest.raises(ValueError, match=r"shape \(5, 2\); this network reads \(time, 3\)"):
        wrap(nn.GRU(3, 4)).encode(np.zeros((5, 2)))
    with pytest.raises(LookupError, match=r"gru\.0\.hook_z"):
        wrap(nn.GRU(3, 4)).hook_name("gru.0.hook_q")

"""Gates inside of a wrapped module equal those of the recurrent module wrapped by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from worldscope.activations.capture import capture
from worldscope.activations.collect import collect
from worldscope.activations.stream import stream_activations
from worldscope.networks.hooked import HookPoint
from worldscope.networks.recurrent_module import RecurrentModule
from worldscope.networks.wrapped import wrap
from worldscope.networks.wrapped_network import WrappedNetwork

KINDS: dict[str, Callable[[], Any]] = {
    "lstm": lambda: nn.LSTM(6, 4, batch_first=True),
    "lstm, time first": lambda: nn.LSTM(6, 4, 2, bidirectional=True),
    "lstm, both": lambda: nn.LSTM(6, 4, 2, bidirectional=True, batch_first=True, dropout=0.5),
    "gru": lambda: nn.GRU(6, 4, 2, batch_first=True),
    "gru, both, time first": lambda: nn.GRU(6, 4, bidirectional=True, bias=False),
    "rnn": lambda: nn.RNN(6, 4, 2, nonlinearity="relu", batch_first=True),
}


class Tagger(nn.Module):
    """Embedding → recurrent → linear, with a first state and packed sequences where asked for."""

    def __init__(self, core: Any, packed: bool = False, first: float | None = None):
        super().__init__()
        self.embed, self.core = nn.Embedding(9, 6), core
        self.head = nn.Linear(core.hidden_size * (2 if core.bidirectional else 1), 3)
        self.packed, self.first = packed, first

    def state(self, batch: int) -> Any:
        if self.first is None:
            return None
        shape = self.core.num_layers * (2 if self.core.bidirectional else 1), batch, 4
        h = torch.full(shape, self.first) * torch.arange(1, batch + 1).view(1, -1, 1)
        return (h, h / 2) if self.core.mode == "LSTM" else h

    def forward(self, symbols: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.embed(symbols)
        if self.packed:
            assert lengths is not None
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            output, _ = self.core(packed, self.state(len(x)))
            assert isinstance(output, PackedSequence)
            return self.head(pad_packed_sequence(output, batch_first=True)[0])
        x = x if self.core.batch_first else x.transpose(0, 1)
        output, last = self.core(x, self.state(len(symbols)))
        assert isinstance(last, tuple) == (self.core.mode == "LSTM")
        return self.head(output if self.core.batch_first else output.transpose(0, 1))


def tagger(kind: str, **given: Any) -> Tagger:
    torch.manual_seed(0)
    return Tagger(KINDS[kind](), **given).eval()


def alone(core: Any, x: Tensor, state: Any = None) -> dict[str, Tensor]:
    """Every state and gate of the recurrent module by itself, by what follows its own name."""
    network = wrap(core)
    assert isinstance(network, RecurrentModule)
    given = state if state is None or isinstance(state, tuple) else (state,)
    reads = network(x, given, read=list(network.hook_dict)).reads
    return {name.split(".", 1)[1]: acts for name, acts in reads.items()}


def lengths_of(batch: Tensor, lengths: np.ndarray) -> dict[str, Tensor]:
    return {"lengths": torch.as_tensor(lengths)}


SYMBOLS = torch.randint(9, (3, 7), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("first", [None, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_gates_are_those_of_the_module_by_itself(kind: str, first: float | None) -> None:
    module = tagger(kind, first=first)
    network = wrap(module, SYMBOLS)
    output, acts = network.run_with_cache(SYMBOLS)  # pyright: ignore
    expected = alone(module.core, module.embed(SYMBOLS), module.state(3))
    assert {name for name in acts if name.startswith("core.") and "hook_out" not in name} == {
        f"core.{name}" for name in expected
    }
    for name, gate in expected.items():
        torch.testing.assert_close(acts[f"core.{name}"], gate, rtol=0, atol=1e-6)
        point = network.hook_dict[f"core.{name}"]
        assert (point.axes, point.width) == (("batch", "time", "d"), gate.shape[-1])
    torch.testing.assert_close(output, module(SYMBOLS), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_are_read_as_each_input_alone(kind: str) -> None:
    module = tagger(kind, packed=True, first=0.1)
    network = wrap(module, keywords=lengths_of, pads=True)
    lengths = torch.tensor([4, 7, 2])
    expected = module(SYMBOLS, lengths)
    output, acts = network.run_with_cache(SYMBOLS, lengths=lengths)  # pyright: ignore
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)
    for row, length in enumerate(lengths.tolist()):
        x = module.embed(SYMBOLS[row : row + 1, :length])
        state = module.state(3)
        parts = state if isinstance(state, tuple) else (state,)
        own = tuple(part[:, row : row + 1] for part in parts)
        for name, gate in alone(module.core, x, own).items():
            torch.testing.assert_close(acts[f"core.{name}"][row, :length], gate[0])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_of_a_gate_has_its_exact_effect_on_everything_after(
    kind: str, packed: bool
) -> None:
    module = tagger(kind, packed=packed)
    network = wrap(module, SYMBOLS, keywords=lengths_of if packed else None, pads=packed)
    keywords = {"lengths": torch.tensor([7, 7, 7])} if packed else {}

    def edit(value: Tensor, hook: HookPoint) -> None:
        assert value.shape == (3, 1, 4)
        value.mul_(-0.5 if hook.step == 3 else 1)

    by_itself = wrap(module.core)
    with by_itself.hooks([(name := next(iter(by_itself.hook_dict)), edit)]):
        core = by_itself(module.embed(SYMBOLS)).output
    inside = "core." + name.split(".", 1)[1]
    with network.hooks([(inside, edit)]):
        output, acts = network.run_with_cache(SYMBOLS, names_filter=inside, **keywords)  # pyright: ignore
    torch.testing.assert_close(output, module.head(core).detach(), rtol=0, atol=1e-5)
    assert not torch.allclose(output, network(SYMBOLS, **keywords), atol=1e-3)
    plain = network.run_with_cache(SYMBOLS, names_filter=inside, **keywords)[1]  # pyright: ignore
    torch.testing.assert_close(acts[inside][:, 3], plain[inside][:, 3] * -0.5)
    assert torch.equal(acts[inside][:, :3], plain[inside][:, :3])


def test_the_fused_module_runs_where_no_gate_is_asked_for_and_is_put_back_where_one_is() -> None:
    module, fused = tagger("lstm"), []
    plain = module.core.forward
    module.core.forward = lambda *given: (fused.append(1), plain(*given))[1]
    own = module.core.forward
    network = wrap(module, SYMBOLS)
    for hooks, runs in ((["head.hook_out", "core.hook_out.0"], 1), (["core.0.hook_c"], 0)):
        fused.clear()
        network.run_with_cache(SYMBOLS, names_filter=hooks)  # pyright: ignore
        assert len(fused) == runs
        assert module.core.forward is own
    del module.core.forward

    def failing(value: Tensor, _: HookPoint) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), network.hooks([("core.0.hook_c", failing)]):
        network(SYMBOLS)
    assert "forward" not in vars(module.core)


class Twice(nn.Module):
    """Runs one recurrent module two times, the second time without an axis of inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.ModuleDict({"rnn": nn.GRU(6, 6, batch_first=True)})

    def forward(self, x: Tensor) -> Tensor:
        once, last = self.deep["rnn"](x)
        first, _ = self.deep["rnn"](once[0], last[:, 0])
        return once + first


def test_a_second_call_and_one_without_a_batch_have_their_own_names() -> None:
    module, x = Twice().eval(), torch.randn(2, 5, 6)
    network = wrap(module, x)
    output, acts = network.run_with_cache(x)  # pyright: ignore
    torch.testing.assert_close(output, module(x), rtol=0, atol=1e-5)
    once, last = module.deep["rnn"](x)
    expected = alone(module.deep["rnn"], once[:1], last[:, :1].contiguous())
    for name, gate in expected.items():
        torch.testing.assert_close(acts[f"deep.rnn.{name}@1"], gate, rtol=0, atol=1e-6)
    with network.hooks([("deep.rnn.0.hook_z@1", lambda value, _: torch.ones_like(value))]):
        frozen = network(x)  # the state stays what it was
    torch.testing.assert_close(frozen, (once + last[0, 0]).detach(), rtol=0, atol=1e-5)


class Again(nn.Module):
    """Runs one LSTM over an input, and again over what it gave, of half of the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        once, state = self.lstm(x)
        return self.lstm(once[:, ::2], state)[0]


def test_two_calls_of_an_lstm_in_one_pass_are_read_and_edited_apart() -> None:
    module, x = Again().eval(), torch.randn(2, 6, 4)
    network = wrap(module, x)
    once, state = module.lstm(x)
    expected = {"": (x, None), "@1": (once[:, ::2], state)}
    _, acts = network.run_with_cache(x)  # pyright: ignore
    for call, (given, first) in expected.items():
        output, (h, c) = module.lstm(given, first)
        torch.testing.assert_close(acts[f"lstm.hook_out{call}.0"], output)
        torch.testing.assert_close(acts[f"lstm.hook_out{call}.1.0"], h)
        torch.testing.assert_close(acts[f"lstm.hook_out{call}.1.1"], c)
        for name, gate in alone(module.lstm, given, first).items():
            torch.testing.assert_close(acts[f"lstm.{name}{call}"], gate, rtol=0, atol=1e-6)
    hooks = ["lstm.0.hook_c", "lstm.0.hook_c@1"]
    with network.hooks([(hooks[1], lambda value, _: torch.zeros_like(value))]):
        _, edited = network.run_with_cache(x, names_filter=hooks)  # pyright: ignore
    torch.testing.assert_close(edited[hooks[0]], acts[hooks[0]], rtol=0, atol=1e-6)
    assert not edited[hooks[1]].any()
    (batch,) = stream_activations(network, x, hooks[0])
    torch.testing.assert_close(batch.acts[hooks[0]], acts[hooks[0]].flatten(0, 1))
    with pytest.raises(ValueError, match=r"hook_c@1 .* axis 1 is not their time"):
        list(stream_activations(network, x, hooks[1]))


def test_a_recurrent_module_with_a_pass_of_its_own_is_no_recurrent_module() -> None:
    class Louder(nn.GRU):
        def forward(self, x: Tensor) -> Tensor:  # pyright: ignore
            return super().forward(x)[0] * 2

    module, x = Louder(3, 4, batch_first=True).eval(), torch.randn(1, 5, 3)
    network = wrap(module, x)
    assert isinstance(network, WrappedNetwork)
    assert list(network.hook_dict) == ["hook_out"]
    torch.testing.assert_close(network(x), module(x))


def test_gates_are_captured_and_collected(tmp_path: Path) -> None:
    module = tagger("lstm, both", packed=True)
    network = wrap(module, keywords=lengths_of, pads=True)
    hooks = ["core.1.hook_c", "core.1.reverse.hook_f", "head.hook_out"]
    with capture(network, hooks) as seen:
        network(SYMBOLS, lengths=torch.tensor([7, 7, 7]))
    expected = alone(module.core, module.embed(SYMBOLS))
    torch.testing.assert_close(seen["core.1.hook_c"], expected["1.hook_c"])
    texts = [np.arange(n) % 9 for n in (8, 9, 10, 10, 9, 3)]
    store = collect(network, texts, hooks, tmp_path, batch_positions=40)
    rows = store.rows().to_pandas()
    for index, text in enumerate(texts):
        chosen = rows.index[rows["sequence"] == index].to_numpy()
        chosen = chosen[np.argsort(rows["position"][chosen].to_numpy())]
        gates = alone(module.core, module.embed(torch.from_numpy(text)[None]))
        for hook in hooks[:2]:
            torch.testing.assert_close(
                store.gather(hook, chosen), gates[hook.removeprefix("core.")][0]
            )

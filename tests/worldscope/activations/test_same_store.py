"""A store is of one network that reads in one way: another is refused, and a change noticed."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn

from worldscope.activations import collect as collecting
from worldscope.activations.capture import capture
from worldscope.activations.collect import collect
from worldscope.activations.settings import check_whole
from worldscope.networks.loading import load_network
from worldscope.networks.mlstm import MLSTM
from worldscope.networks.transformer import Transformer
from worldscope.networks.wrapped import wrap

SEQUENCES = [np.full((n, 3), float(n), np.float32) for n in (2, 5, 3, 5, 4, 2)]


def stopped_after_a_shard(network: Any, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = collecting.write_manifest, []

    def stop(*given: Any) -> None:
        write(*given)
        written.append(given)
        if len(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(collecting, "write_manifest", stop)
        collect(network, SEQUENCES, "hook_out", out, shard_mb=1e-5, batch_positions=8)


@pytest.mark.parametrize("first", [True, False])
def test_a_collection_does_not_go_on_with_other_padding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Else it would leave rows out, or write them twice."""
    module = nn.Linear(3, 2)
    stopped_after_a_shard(wrap(module, pads=first), tmp_path / "a", monkeypatch)
    with pytest.raises(ValueError, match=f"read inputs together: pads {first} then, {not first} n"):
        collect(
            wrap(module, pads=not first), SEQUENCES, "hook_out", tmp_path / "a",
            shard_mb=1e-5, batch_positions=8,
        )  # fmt: skip


def test_another_context_is_another_collection(
    gpt: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(gpt, ["a good film"], "blocks.0.hook_out", tmp_path)
    monkeypatch.setattr(gpt, "context", 6)
    with pytest.raises(ValueError, match="context 12 then, 6 now"):
        collect(gpt, ["a good film"], "blocks.0.hook_out", tmp_path)


def test_autocast_is_refused(network: MLSTM, tmp_path: Path) -> None:
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(ValueError, match=r"torch\.autocast is on"),
    ):
        collect(network, ["a"], "hook_c", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_weights_that_change_meanwhile_leave_no_store(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    calls = []

    def keywords(batch: Tensor, steps: np.ndarray) -> dict[str, Any]:
        calls.append(len(batch))
        if len(calls) == 6:
            module.weight.data += 1
        return {}

    network = wrap(module, keywords=keywords)
    with pytest.raises(ValueError, match="the network was changed while .* was collected"):
        collect(network, SEQUENCES, "hook_out", tmp_path / "a", batch_positions=1)
    with pytest.raises(ValueError, match="holds other files; choose a new folder"):
        collect(network, SEQUENCES, "hook_out", tmp_path / "a", batch_positions=1)


def test_a_module_that_changes_its_weights_is_refused() -> None:
    module = nn.Embedding(5, 3, max_norm=0.1)
    with pytest.raises(ValueError, match="a pass changes the module's weights, weight for one"):
        wrap(module, torch.zeros(1, 2, dtype=torch.long))


def test_widths_that_depend_on_the_input_are_refused(tmp_path: Path) -> None:
    """A width of 1 would be spread over all units."""

    class Gram(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x.mT

    data = [np.ones((4, 3), np.float32), np.ones((1, 3), np.float32)]
    for positions in ("all", "mean"):
        with pytest.raises(ValueError, match=r"rows of \(4,\) for input 0, and of \(1,\) for othe"):
            collect(
                wrap(Gram()), data, "hook_out", tmp_path / positions, positions=positions,
                batch_positions=1,
            )  # fmt: skip


class Remembering(nn.Module):
    """Goes on from where the last pass ended."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.state = nn.GRU(3, 2, batch_first=True), None

    def forward(self, x: Tensor) -> Tensor:
        state = self.state if self.state is not None and self.state.shape[1] == len(x) else None
        out, self.state = self.rnn(x, state)
        return out


class Drawing(nn.Module):
    """Adds noise."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


@pytest.mark.parametrize("module", [Remembering(), Drawing()])
@pytest.mark.parametrize("data", [SEQUENCES, SEQUENCES[:1]])
def test_what_is_another_when_read_again_is_refused(
    module: nn.Module, data: list, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="of the same inputs is another when they are read again"):
        collect(wrap(module), data, "hook_out", tmp_path / "a")


def test_a_small_unit_that_padding_changes_is_seen_beside_a_large_one(tmp_path: Path) -> None:
    class Averaging(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mean = x.mean(1, keepdim=True).expand_as(x)
            return torch.cat([mean, torch.full_like(x[..., :1], 1e4)], dim=-1)

    data = [np.linspace(0, 1, 3 * n, dtype=np.float32).reshape(n, 3) for n in (9, 8)]
    with pytest.raises(ValueError, match="padding changes it"):
        collect(wrap(Averaging(), pads=True), data, "hook_out", tmp_path / "a")


def test_a_store_type_may_be_that_of_torch(network: MLSTM, tmp_path: Path) -> None:
    assert collect(network, ["a"], "hook_c", tmp_path, dtype=torch.float16).dtype == torch.float16


def test_arrays_of_every_kind_are_read_as_their_numbers(tmp_path: Path) -> None:
    network = wrap(nn.Identity(), torch.zeros(1, 4, 3))
    plain = np.arange(12, dtype=np.float32).reshape(4, 3)
    bf16 = torch.tensor(plain).bfloat16()
    kinds = [plain[::-1][::-1], plain.astype(">f4"), bf16, torch.tensor(plain, requires_grad=True)]
    for number, kind in enumerate(kinds):
        store = collect(network, [kind], "hook_out", tmp_path / str(number))
        torch.testing.assert_close(store.acts(), torch.tensor(plain))
    with pytest.raises(ValueError, match="complex numbers"):
        collect(network, [plain.astype(np.complex64)], "hook_out", tmp_path / "c")


def small_gpt2() -> transformers.GPT2LMHeadModel:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=24,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config).eval()


def test_a_bridged_model_is_read_in_evaluation_whatever_its_flags() -> None:
    network, symbols = load_network(small_gpt2()), torch.arange(8)[None]
    hooks = ["blocks.1.mlp.hook_out", "blocks.1.hook_out"]
    before = network(symbols, hooks)
    network.train()
    after = network(symbols, hooks)
    assert network.bridge.training
    torch.testing.assert_close(after.logits, before.logits)
    for hook in hooks:
        torch.testing.assert_close(after.reads[hook], before.reads[hook])


def test_a_hook_of_torch_on_a_bridged_model_counts_whatever_is_read() -> None:
    network, symbols = load_network(small_gpt2()), torch.arange(8)[None]
    digest, before = network.digest, network(symbols).logits
    block = network.bridge.original_model.transformer.h[0].original_component

    def raise_by_five(_module: Any, _given: Any, output: Any) -> Any:
        return (output[0] + 5, *output[1:]) if isinstance(output, tuple) else output + 5

    handle = block.register_forward_hook(raise_by_five)
    alone = network(symbols, ["blocks.1.hook_out"]).reads["blocks.1.hook_out"]
    beside = network(symbols, ["blocks.1.hook_out", "blocks.1.mlp.hook_out"])
    torch.testing.assert_close(alone, beside.reads["blocks.1.hook_out"])
    assert not torch.allclose(network(symbols).logits, before)
    assert network.digest != digest
    handle.remove()
    assert network.digest == digest


def test_texts_of_a_longrope_model_are_read_as_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.Phi3Config(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, original_max_position_embeddings=16,
        pad_token_id=0, bos_token_id=0, eos_token_id=0,
        rope_parameters={
            "rope_type": "longrope", "rope_theta": 1e4,
            "short_factor": [1.0] * 4, "long_factor": [8.0] * 4,
        },
    )  # fmt: skip
    model = transformers.Phi3ForCausalLM(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= 6
    network, hook = load_network(model), "blocks.1.hook_out"
    short, long = np.arange(15), np.arange(18)
    both = collect(network, [short, long], hook, tmp_path / "both")
    alone = collect(network, [short], hook, tmp_path / "alone")
    of_short = np.flatnonzero(both.labels("sequence") == 0)
    torch.testing.assert_close(both.gather(hook, of_short), alone.acts(hook))


class Scaled(nn.Module):
    """Its output depends on what it holds."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def forward(self, x: Tensor) -> Tensor:
        return x


def scaled(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: factor * x


class Config:
    """Plain values under names."""

    def __init__(self, window: int) -> None:
        self.window = window


def linear(seed: int) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.zeros(2), torch.ones(2)),
        (np.zeros(2), np.ones(2)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.array(["a", None]), np.array(["b", None])),
        (1j, 2j),
        ({"s": 1.0}, {"s": 100.0}),
        (Config(2), Config(20)),
        (functools.partial(torch.add, 1), functools.partial(torch.add, 2)),
        (lambda x: x + 2, lambda x: x * 2),
        (scaled(1.0), scaled(2.0)),
        ([linear(0)], [linear(1)]),
        ({1, 2}, {1, 3}),
        (transformers.MistralConfig(sliding_window=2), transformers.MistralConfig()),
    ],
    ids=range(13),
)
def test_the_digest_tells_apart_what_a_module_holds(one: Any, other: Any) -> None:
    x = torch.zeros(1, 2, 2)
    first, same, second = (wrap(Scaled(held), x).digest for held in (one, one, other))
    assert first == same != second


def test_the_digest_tells_methods_apart_that_were_written_anew() -> None:
    def defined(body: str) -> nn.Module:
        space: dict[str, Any] = {"nn": nn}
        exec(f"class Net(nn.Module):\n    def forward(self, x):\n        return {body}", space)
        return space["Net"]()

    digests = [wrap(defined(body)).digest for body in ("x.relu()", "x.relu()", "x.tanh()", "x + 1")]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_function_may_be_bound_to_what_is_not_there_yet() -> None:
    def bound() -> object:
        return later

    digest = wrap(Scaled(bound)).digest
    later = 1
    assert wrap(Scaled(bound)).digest != digest


def test_what_a_module_holds_may_go_round_in_a_circle() -> None:
    held: dict[str, Any] = {}
    held["itself"] = held
    assert wrap(Scaled(held)).digest == wrap(Scaled(held)).digest


def test_keywords_that_compute_something_else_are_others() -> None:
    module = nn.Linear(3, 2)
    one, same, other = (wrap(module, keywords=lambda x, n, k=k: {"k": k}) for k in (1, 1, 2))
    assert one.digest == same.digest != other.digest


def test_a_filter_sees_aliases_and_nothing_that_passes_is_said(gpt: Transformer) -> None:
    symbols = torch.zeros(1, 3, dtype=torch.long)
    with capture(gpt, lambda name: name.endswith("hook_resid_post")) as acts:
        gpt(symbols)
    assert list(acts) == ["blocks.0.hook_out", "blocks.1.hook_out"]
    with pytest.raises(LookupError, match="no hook point's name or alias passes the filter"):
        gpt.hook_names(lambda name: False)
    with pytest.raises(LookupError, match="no hook is named"), capture(gpt, []):
        gpt(symbols)
    with pytest.raises(LookupError, match=r"blocks\.1\.mlp\.hook_out was not captured; blocks"):
        acts["blocks.1.mlp.hook_out"]


@pytest.mark.parametrize(
    "given", ["a film", [1, 2], torch.zeros(3, dtype=torch.long), torch.zeros(1, 3)]
)
def test_what_is_no_batch_of_symbols_is_refused(
    gpt: Transformer, network: MLSTM, given: Any
) -> None:
    for model in (gpt, network):
        with pytest.raises(ValueError, match="is called with symbols, a tensor of whole numbers"):
            model(given)


@pytest.mark.parametrize("value", ["10", 2.5, True, None])
def test_a_setting_that_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=f"window is {value!r}; it must be a whole number"):
        check_whole("window", value)
    check_whole("window", np.int64(3))


@pytest.mark.parametrize("name", ["batch_positions", "window", "seed"])
def test_true_is_no_number(network: MLSTM, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is True; it must be a whole number"):
        collect(network, ["a"], "hook_c", tmp_path / "a", **{name: True})  # pyright: ignore
    with pytest.raises(ValueError, match="batch_size is True"):
        collect(network, ["a"], "hook_c", tmp_path / "a").batches(True)


def test_batches_take_one_label_by_its_name_and_refuse_what_is_no_cursor(
    network: MLSTM, tmp_path: Path
) -> None:
    store = collect(network, ["abc", "de"], "hook_c", tmp_path)
    batches = store.batches(2, labels="sequence")
    assert sum(len(batch.labels["sequence"]) for batch in batches) == len(store)
    assert store.rows("sequence").column_names == ["sequence"]
    for wrong in ({"next_row": -1}, {"next_row": 10**9}, {"epoch": -1}):
        with pytest.raises(ValueError, match="the cursor is at row"):
            store.batches(2).go_on_from({**store.batches(2).cursor, **wrong})


def test_a_setting_that_a_network_does_not_take_is_named() -> None:
    with pytest.raises(TypeError, match="takes no setting 'devic'; it takes device, dtype"):
        load_network("zoo:reviews-mlstm-bpe", devic="cpu")

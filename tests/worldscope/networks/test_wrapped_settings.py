"""A wrong choice in `wrap` is said in one sentence, at once or at the first batch that shows it."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from worldscope.activations.collect import collect
from worldscope.activations.stream import stream_activations
from worldscope.networks.hooked import HookedNetwork
from worldscope.networks.wrapped import wrap


def rows(network: HookedNetwork, data: Any, hook: str = "hook_out", **given: Any) -> Tensor:
    return torch.cat([part.acts[hook] for part in stream_activations(network, data, hook, **given)])


RAGGED = [np.random.default_rng(n).normal(size=(10 - n % 2, 4)).astype(np.float32) for n in (0, 1)]
WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a network": (lambda: wrap(wrap(nn.Linear(2, 2))), r"WrappedNetwork\(Linear.* already"),
    "pads without time": (
        lambda: wrap(nn.Linear(2, 2), timed=False, pads=True), "leave it out with timed=False",
    ),
    "a recurrent module without time": (
        lambda: wrap(nn.GRU(2, 2), timed=False), "nn.GRU reads sequences .* leave out timed",
    ),
    "a recurrent module with keywords": (
        lambda: wrap(nn.LSTM(2, 2), keywords=lambda batch, n: {}), "leave out timed and keywords",
    ),
    "a text": (lambda: wrap(nn.Linear(2, 2), "text"), "reads arrays, not str"),
    "a mapping": (lambda: wrap(nn.Linear(2, 2), {"x": 1}), "reads arrays, not dict"),
    "one step": (lambda: wrap(nn.Linear(2, 2), torch.zeros(2)), r"\(2,\); give \(batch, time, …\)"),
    "one number": (
        lambda: wrap(nn.Linear(2, 2), torch.zeros(()), timed=False), r"\(\); give \(batch, …\)",
    ),
    "another width": (
        lambda: wrap(nn.Linear(3, 2), torch.zeros(2, 5, 4)),
        r"refuses an example of the shape \(2, 5, 4\): mat1 and mat2 shapes cannot be multiplied",
    ),
    "another width of a recurrent module": (
        lambda: wrap(nn.LSTM(3, 2), torch.zeros(2, 5, 4)), "refuses an example .* Expected 3, got",
    ),
    "a text for a recurrent module": (lambda: wrap(nn.LSTM(3, 2), "text"), "reads arrays, not str"),
    "another type": (
        lambda: wrap(nn.Embedding(3, 2), torch.zeros(2, 5)), r"refuses an example .*Long, Int",
    ),
    "an argument that is missing": (
        lambda: wrap(nn.Bilinear(2, 2, 2), torch.zeros(2, 2)), "refuses an example .*'input2'",
    ),
    "keywords that are none": (
        lambda: wrap(nn.Linear(2, 2), torch.zeros(1, 2, 2), keywords=lambda batch, n: [1]),  # pyright: ignore
        "keywords gave a list; it must return a mapping",
    ),
    "data of another rank": (
        lambda: rows(wrap(nn.Linear(4, 2), torch.zeros(1, 5, 4)), [np.zeros(4)]),
        r"row 0 of the data: .* \(4,\); each of wrap's example has 2 axes",
    ),
    "data without time": (
        lambda: wrap(nn.Linear(4, 2)).encode(1.0), r"one number; with timed=True .* \(time, …\)",
    ),
    "data of another width": (
        lambda: rows(wrap(nn.Linear(3, 2)), RAGGED[:1]),
        r"refuses a batch of the shape \(1, 10, 4\): mat1 and mat2",
    ),
    "images of another number of channels": (
        lambda: rows(wrap(nn.Conv2d(3, 2, 1), timed=False), [np.zeros((1, 8, 8))]),
        r"refuses a batch of the shape \(1, 1, 8, 8\): .*3 channels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(case: str) -> None:
    call, sentence = WRONG[case]
    with pytest.raises(ValueError, match=sentence) as raised:
        call()
    assert "\n" not in str(raised.value)


SCRIPT = """
import torch
import worldscope as ws

for given in (None, "gpt2", torch.nn.Linear):
    try:
        ws.wrap(given)
    except ValueError as error:
        print(error)
"""


def test_what_is_no_module_is_said_in_one_sentence() -> None:
    """In a process of its own, where nothing checks the annotations first."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "None is no torch module; give an nn.Module",
        "'gpt2' is no torch module; give an nn.Module",
        "Linear is a class; give a module, such as an instance of it",
    ]


def test_a_part_that_is_unknown_or_holds_others_is_named() -> None:
    class Pair(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return {"out": x, "count": 3}

    x = torch.zeros(1, 2, 3)
    network = wrap(nn.Sequential(Pair()))
    with pytest.raises(LookupError, match="known after a pass: give wrap an example"):
        network.hook_name("0.hook_out.outt")
    with pytest.raises(RuntimeError, match=r"0\.hook_out holds several.*: 0\.hook_out\.out$"):
        next(network.stream_reads(x, np.array([2]), ["0.hook_out"], chunk=1))
    network(x)
    for unknown in ("0.hook_out.outt", "0.hook_out.count", "0.hook_out"):
        with pytest.raises(LookupError, match=r"the nearest are 0\.hook_out\.out"):
            network.hook_name(unknown)
    silent = wrap(nn.Identity())
    with pytest.raises(RuntimeError, match="hook_out gives no floating tensor"):
        next(silent.stream_reads(torch.zeros(1, 2).long(), np.array([2]), ["hook_out"], chunk=1))


class Backwards(nn.Module):
    """Each step is the sum of itself and all after it, of those that a mask keeps."""

    def __init__(self, size: float = 1.0):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x if mask is None else x * mask.unsqueeze(-1)
        ones = torch.ones_like(x)
        kept = ones if mask is None else ones * mask.unsqueeze(-1)
        return (kept * self.size).flip(1).cumsum(1).flip(1)


def keep(batch: Tensor, lengths: np.ndarray) -> dict[str, Any]:
    return {"mask": np.arange(batch.shape[1]) < lengths[:, None]}


def test_padding_that_changes_what_is_read_is_refused_at_the_first_batch_that_has_it() -> None:
    module = Backwards()
    with pytest.raises(ValueError, match="hook_out .* alone; padding changes it: .* pads=True"):
        rows(wrap(module, pads=True), RAGGED)
    expected = torch.cat([torch.arange(len(x), 0, -1.0) for x in RAGGED])
    for network in (wrap(module), wrap(module, pads=True, keywords=keep)):
        torch.testing.assert_close(rows(network, RAGGED)[:, 0], expected)
    same = [RAGGED[0]] * 2
    torch.testing.assert_close(rows(wrap(module, pads=True), same)[:, 0], expected[:10].repeat(2))


@pytest.mark.parametrize("module", [Backwards(), nn.Sequential(Backwards(), nn.GRU(4, 2))])
def test_a_padding_is_checked_after_batches_that_had_none(module: nn.Module) -> None:
    network = wrap(module, pads=True)
    hook = "0.hook_out" if isinstance(module, nn.Sequential) else "hook_out"
    for lengths in ([1], [5], [5, 5], [5, 5]):
        same = torch.zeros(len(lengths), max(lengths), 4)
        next(network.stream_reads(same, np.array(lengths), [hook], chunk=1))
    with pytest.raises(ValueError, match="padding changes it"):
        next(network.stream_reads(torch.zeros(2, 5, 4), np.array([5, 4]), [hook], chunk=1))


def test_a_padding_that_is_wrong_after_training_is_found_too() -> None:
    module = Backwards(size=0.0)
    network = wrap(module, pads=True)
    assert not rows(network, RAGGED).any()
    module.size = 1.0
    with pytest.raises(ValueError, match="padding changes it"):
        rows(network, RAGGED)


def test_inputs_of_different_lengths_are_never_padded_unasked() -> None:
    network = wrap(Backwards())
    with pytest.raises(ValueError, match="inputs of 3 to 5 steps are padded .* pads=True"):
        next(network.stream_reads(torch.zeros(2, 5, 1), np.array([5, 3]), ["hook_out"], chunk=1))


def encoder(**given: Any) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, **given)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()


def test_a_module_that_takes_time_first_is_refused_at_the_first_batch_of_several() -> None:
    with pytest.raises(ValueError, match="mixes the inputs of a batch: .* batch_first=True"):
        rows(wrap(encoder()), [RAGGED[0], RAGGED[0] * 2])
    network = wrap(encoder(batch_first=True))
    assert rows(network, [RAGGED[0], RAGGED[0] * 2]).shape == (20, 4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_inputs_are_in_the_type_of_the_weights(dtype: torch.dtype) -> None:
    module = nn.Linear(4, 2).to(dtype)
    network = wrap(module, np.zeros((1, 3, 4)))
    encoded = network.encode(RAGGED[0])
    assert isinstance(encoded, Tensor)
    assert encoded.dtype == network.dtype == dtype
    found = rows(network, RAGGED[:1], dtype="float32")
    expected = module(torch.from_numpy(RAGGED[0]).to(dtype)).float()
    torch.testing.assert_close(found, expected.detach())


def test_a_module_without_weights_is_printed_on_one_line() -> None:
    assert repr(wrap(nn.Identity())) == (
        "WrappedNetwork(Identity, 0 parameters, 1 hook points, float32 on cpu)"
    )
    assert repr(wrap(nn.GRU(2, 2))) == (
        "RecurrentModule(36 parameters, 4 hook points, float32 on cpu)"
    )


class Counted(nn.Module):
    """Counts the inputs and the passes."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.sizes = inner, []

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        self.sizes.append(len(x))
        return self.inner(x) if mask is None else self.inner(x, mask)


def test_a_pass_is_run_once_where_once_is_enough(tmp_path: Any) -> None:
    module = Counted(nn.Linear(4, 2))
    x = torch.zeros(3, 5, 4)
    network = wrap(module)
    network.run_with_cache(x)  # pyright: ignore
    assert module.sizes == [3], "without an example"
    wrap(module).run_with_cache(x, names_filter="inner.hook_out")  # pyright: ignore
    wrap(module).run_with_cache(x, names_filter=["hook_out"])  # pyright: ignore
    wrap(module).run_with_cache(x, names_filter=lambda name: "inner" in name)  # pyright: ignore
    assert module.sizes == [3] * 4
    wrap(module, x)
    assert module.sizes == [3] * 5, "an example is one pass"
    module.sizes.clear()
    collect(network, [np.zeros((5, 4))] * 12, "hook_out", tmp_path / "a", batch_positions=20)
    assert module.sizes == [1, 1, 1, 4, 1, 4, 4], (
        "for the shapes, again, with a step less, each batch, and once an input alone"
    )


def test_collecting_checks_padding_once_and_finds_positions_once_for_each_shape(
    tmp_path: Any,
) -> None:
    module = Counted(Backwards())
    network = wrap(module, pads=True, keywords=keep)
    data = [np.zeros((n, 4)) for n in (5, 4) * 6]
    collect(network, data, "hook_out", tmp_path / "a", batch_positions=40)
    assert sum(module.sizes) == 12 + 3 + 2
    assert module.sizes.count(1) == 5, (
        "for the shapes, again, with a step less, beside equals, and beside longer ones"
    )
    images = Counted(nn.Conv2d(1, 2, 2))
    shapes = [(1, 4, 4), (1, 4, 6)] * 6
    collect(
        wrap(images, timed=False), [np.zeros(shape) for shape in shapes], "hook_out",
        tmp_path / "b", batch_positions=54, window=6,
    )  # fmt: skip
    assert sum(images.sizes) == 12 + 2 + 1 + 2

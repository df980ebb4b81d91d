"""The recurrence against a pass in numpy and against autograd through a plain loop."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worldscope.networks.recurrence import READS, Scan, TrainingScan, scan

STEPS, BATCH, D = 7, 3, 5
Edit = Callable[[Tensor, int], Tensor]


class Inputs(NamedTuple):
    """Arguments of a pass, the state apart."""

    x_m: Tensor
    x_g: Tensor
    w_m: Tensor
    w_h: Tensor


def inputs(dtype: torch.dtype = torch.float32, seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((STEPS, BATCH, D), (STEPS, BATCH, 4 * D), (D, D), (D, 4 * D))
    drawn = (torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in shapes)
    return Inputs(*drawn)


def leaves(arguments: Inputs) -> Inputs:
    """The same numbers, ready to gather gradients."""
    return Inputs(*(tensor.clone().requires_grad_() for tensor in arguments))


def state(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    h, c = torch.randn(2, BATCH, D, generator=generator, dtype=torch.float64).to(dtype)
    return h, c


def in_numpy(
    arguments: Inputs,
    start: tuple[Tensor, Tensor],
    edits: Mapping[str, Callable[[np.ndarray, int], np.ndarray]] | None = None,
) -> dict[str, np.ndarray]:
    """Every read of every step in float64, straight from the equations."""
    x_m, x_g, w_m, w_h = (tensor.double().numpy() for tensor in arguments)
    h, c = (part.double().numpy() for part in start)
    edits = edits or {}

    def edited(name: str, value: np.ndarray, t: int) -> np.ndarray:
        return edits[name](value, t) if name in edits else value

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    rows = []
    for t in range(len(x_m)):
        m = edited("m", x_m[t] * (h @ w_m), t)
        g_i, g_f, g_o, g_u = np.split(x_g[t] + m @ w_h, 4, axis=1)
        i = edited("i", sigmoid(g_i), t)
        f = edited("f", sigmoid(g_f), t)
        o = edited("o", sigmoid(g_o), t)
        u = edited("u", np.tanh(g_u), t)
        c = edited("c", f * c + i * u, t)
        h = edited("h", o * np.tanh(c), t)
        rows.append({"h": h, "c": c, "i": i, "f": f, "o": o, "u": u, "m": m})
    return {name: np.stack([row[name] for row in rows]) for name in READS}


def by_autograd(arguments: Inputs, start: tuple[Tensor, Tensor]) -> Tensor:
    """h of every step through operations that autograd differentiates by itself."""
    h, c = start
    hs = []
    for x_m, x_g in zip(arguments.x_m.unbind(), arguments.x_g.unbind(), strict=True):
        gates = x_g + (x_m * (h @ arguments.w_m)) @ arguments.w_h
        i, f, o, u = gates.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * u.tanh()
        h = o.sigmoid() * c.tanh()
        hs.append(h)
    return torch.stack(hs)


def training(arguments: Inputs, start: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return TrainingScan.apply(*arguments, *start)  # pyright: ignore


def full_scan(edits: Mapping[str, Edit] | None = None) -> Scan:
    return scan(*inputs(), state(), keep=READS, edits=edits)


def test_every_read_equals_the_equations() -> None:
    expected, run = in_numpy(inputs(), state()), full_scan()
    for name in READS:
        np.testing.assert_allclose(run.reads[name].numpy(), expected[name], atol=2e-6)
    np.testing.assert_array_equal(run.h.numpy(), run.reads["h"].numpy())
    np.testing.assert_array_equal(run.state[0].numpy(), run.reads["h"][-1].numpy())
    np.testing.assert_array_equal(run.state[1].numpy(), run.reads["c"][-1].numpy())


@pytest.mark.parametrize("name", READS)
def test_an_edit_takes_effect_where_the_equations_say(name: str) -> None:
    """Also: each read is after its edit, and what follows in the same step has seen it."""

    def push(value: np.ndarray, t: int) -> np.ndarray:
        return value * 0.5 + 0.3 if t == 3 else value

    def push_tensor(value: Tensor, t: int) -> Tensor:
        return torch.from_numpy(push(value.double().numpy(), t)).float()

    expected, run = in_numpy(inputs(), state(), {name: push}), full_scan({name: push_tensor})
    for read in READS:
        np.testing.assert_allclose(run.reads[read].numpy(), expected[read], atol=2e-6)


def test_an_edited_cell_is_read_as_edited_and_shows_in_the_output() -> None:
    run = full_scan({"c": lambda value, step: torch.full_like(value, 0.7)})
    assert (run.reads["c"] == 0.7).all()
    torch.testing.assert_close(run.reads["h"], run.reads["o"] * np.tanh(0.7))


def test_edits_that_change_nothing_give_the_same_bits() -> None:
    plain = full_scan()
    for edit in (lambda value, step: value, lambda value, step: value.clone()):
        edited = full_scan(dict.fromkeys(READS, edit))
        for name in READS:
            assert torch.equal(edited.reads[name], plain.reads[name])
        assert torch.equal(edited.h, plain.h)


@settings(max_examples=30)
@given(name=st.sampled_from(READS), at=st.integers(0, STEPS - 1))
def test_an_edit_changes_its_own_step_and_later_ones_only(name: str, at: int) -> None:
    plain = full_scan()
    edited = full_scan({name: lambda value, step: value + 0.5 * (step == at)})
    for read in READS:
        assert torch.equal(edited.reads[read][:at], plain.reads[read][:at])
    assert not torch.equal(edited.reads[name][at], plain.reads[name][at])
    for step in range(at, STEPS):
        assert not torch.equal(edited.h[step], plain.h[step])


@given(cut=st.integers(0, STEPS))
def test_a_state_carried_from_chunk_to_chunk_equals_one_long_pass(cut: int) -> None:
    long, (x_m, x_g, w_m, w_h) = full_scan(), inputs()
    first = scan(x_m[:cut], x_g[:cut], w_m, w_h, state())
    second = scan(x_m[cut:], x_g[cut:], w_m, w_h, first.state)
    assert torch.equal(torch.cat([first.h, second.h]), long.h)
    assert torch.equal(second.state[1], long.state[1])


def test_the_state_that_is_given_stays_as_it_was() -> None:
    start = state()
    scan(*inputs(), start, edits={name: lambda value, _: value.mul_(2) for name in READS})
    for before, after in zip(state(), start, strict=True):
        assert torch.equal(before, after)


def test_only_what_is_asked_for_is_kept() -> None:
    assert set(scan(*inputs(), state(), keep=("c", "f")).reads) == {"c", "f"}
    assert scan(*inputs(), state()).reads == {}


def test_the_training_pass_gives_what_the_plain_loop_gives() -> None:
    arguments, start = inputs(torch.float64), state(torch.float64)
    hs, h, c = training(arguments, start)
    torch.testing.assert_close(hs, by_autograd(arguments, start), rtol=0, atol=1e-14)
    expected = in_numpy(arguments, start)
    np.testing.assert_allclose(h.numpy(), expected["h"][-1], atol=1e-14)
    np.testing.assert_allclose(c.numpy(), expected["c"][-1], atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_every_gradient_equals_that_of_autograd(seed: int) -> None:
    start, weight = state(torch.float64), torch.randn(STEPS, BATCH, D, dtype=torch.float64)
    ours, plain = leaves(inputs(torch.float64, seed)), leaves(inputs(torch.float64, seed))
    (training(ours, start)[0] * weight).sum().backward()
    (by_autograd(plain, start) * weight).sum().backward()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-11, atol=1e-12)
        assert other.grad is not None
        assert other.grad.abs().max() > 1e-3


def test_every_gradient_equals_a_difference_quotient() -> None:
    x_m, x_g, w_m, w_h = inputs(torch.float64)
    arguments = leaves(Inputs(x_m[:3], x_g[:3], w_m, w_h))
    start = state(torch.float64)
    assert torch.autograd.gradcheck(
        lambda *them: training(Inputs(*them), start)[0], tuple(arguments)
    )


def test_the_carried_state_gets_no_gradient() -> None:
    h, c = (part.requires_grad_() for part in state(torch.float64))
    training(leaves(inputs(torch.float64)), (h, c))[0].sum().backward()
    assert h.grad is None
    assert c.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_and_reading_give_the_same_bits(dtype: torch.dtype) -> None:
    hs, h, c = training(inputs(dtype), state())
    run = scan(*inputs(dtype), state())
    assert torch.equal(hs, run.h)
    assert torch.equal(h, run.state[0])
    assert torch.equal(c, run.state[1])


def test_bfloat16_stays_near_float32() -> None:
    """Both start from the same rounded numbers: what is left is the rounding inside the pass."""
    rough, start = inputs(torch.bfloat16), state(torch.bfloat16)
    exact = Inputs(*(tensor.float() for tensor in rough))
    low, high = scan(*rough, start, keep=READS), scan(*exact, start, keep=READS)
    assert low.h.dtype == torch.bfloat16
    for name in READS:
        assert low.reads[name].dtype == torch.float32
        torch.testing.assert_close(low.reads[name], high.reads[name], rtol=0, atol=0.05)
    assert not torch.equal(low.reads["c"], high.reads["c"])


def test_bfloat16_gradients_stay_near_float32() -> None:
    rough = leaves(inputs(torch.bfloat16))
    exact = leaves(Inputs(*(tensor.detach().float() for tensor in rough)))
    for arguments in (rough, exact):
        training(arguments, state())[0].float().sum().backward()
    for low, high in zip(rough, exact, strict=True):
        assert low.grad is not None
        assert high.grad is not None
        assert (low.grad.float() - high.grad).norm() < 0.03 * high.grad.norm()

"""Above a size, tanh is made another way: the numbers are the same."""

import torch

from worldscope.networks.recurrence import READS, TrainingScan, scan

STEPS, BATCH, D = 3, 96, 192


def inputs(dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((STEPS, BATCH, D), (STEPS, BATCH, 4 * D), (D, D), (D, 4 * D))
    drawn = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    scaled = [drawn[0], drawn[1], drawn[2] / D**0.5, drawn[3] / D**0.5]
    return [tensor.to(dtype) for tensor in scaled]


def state(dtype: torch.dtype, rows: int = BATCH) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(rows, D, dtype=dtype), torch.ones(rows, D, dtype=dtype)


def test_states_of_many_rows_equal_those_of_each_row_alone() -> None:
    x_m, x_g, w_m, w_h = inputs(torch.float32)
    together = scan(x_m, x_g, w_m, w_h, state(torch.float32), keep=READS).reads
    for row in (0, BATCH - 1):
        one = slice(row, row + 1)
        alone = scan(x_m[:, one], x_g[:, one], w_m, w_h, state(torch.float32, 1), keep=READS)
        for name in READS:
            torch.testing.assert_close(together[name][:, one], alone.reads[name], rtol=0, atol=2e-6)


def test_gradients_of_many_rows_equal_those_of_autograd() -> None:
    ours = [tensor.requires_grad_() for tensor in inputs(torch.float64)]
    plain = [tensor.requires_grad_() for tensor in inputs(torch.float64)]
    h, c = state(torch.float64)
    TrainingScan.apply(*ours, h, c)[0].square().sum().backward()  # pyright: ignore
    x_m, x_g, w_m, w_h = plain
    total = torch.zeros(())
    for t in range(STEPS):
        i, f, o, u = (x_g[t] + (x_m[t] * (h @ w_m)) @ w_h).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * u.tanh()
        h = o.sigmoid() * c.tanh()
        total = total + h.square().sum()
    total.backward()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-11)

"""Rows that are shared among threads: none is lost, none waits, nothing is left behind."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worldscope.networks.loading import new_mlstm
from worldscope.networks.threads import run_shares, share_rows


@pytest.fixture(autouse=True)
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@given(rows=st.integers(0, 10_000))
def test_every_row_is_in_exactly_one_share_and_shares_are_even(rows: int) -> None:
    sizes = [len(range(rows)[share]) for share in share_rows(rows)]
    assert [row for share in share_rows(rows) for row in range(rows)[share]] == list(range(rows))
    assert len(sizes) <= 3
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == 1 or min(sizes) >= 16


def test_results_come_in_the_order_of_the_rows_whichever_thread_is_first() -> None:
    met = threading.Barrier(3, timeout=10)

    def slow(share: slice) -> tuple[slice, int, bool]:
        met.wait()
        return share, torch.get_num_threads(), torch.is_grad_enabled()

    shares = share_rows(48)
    assert run_shares(slow, shares) == [(share, 1, False) for share in shares]


def test_threads_of_torch_are_as_before_even_after_an_error() -> None:
    def fail(share: slice) -> None:
        raise ValueError(share)

    with pytest.raises(ValueError):
        run_shares(fail, share_rows(48))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert [torch.get_num_threads(), *seen] == [3, 3]


def test_a_shared_batch_gives_what_one_thread_gives() -> None:
    network = new_mlstm(d_hidden=8, d_embed=4).requires_grad_(False)
    symbols = torch.randint(256, (50, 7), generator=torch.Generator().manual_seed(0))
    h, c = torch.randn(50, 8), torch.randn(50, 8)
    shared = network(symbols, (h, c), ["hook_c", "hook_m"])
    torch.set_num_threads(1)
    alone = network(symbols, (h, c), ["hook_c", "hook_m"])
    assert list(shared.reads) == list(alone.reads)
    torch.testing.assert_close(shared, alone)
    assert shared.logits.shape == (50, 7, 256)


def test_an_edit_sees_the_whole_batch() -> None:
    network = new_mlstm(d_hidden=8, d_embed=4).requires_grad_(False)
    seen = []
    with network.hooks([("hook_c", lambda value, hook: seen.append(len(value)))]):
        network(torch.zeros(50, 2, dtype=torch.long))
    assert seen == [50, 50]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    code = """
import os, threading, torch
from worldscope.networks.threads import run_shares, share_rows
torch.set_num_threads(2)
met = threading.Barrier(2)  # so that both threads are there before the fork
assert len(run_shares(lambda share: met.wait(), share_rows(32))) == 2
child = os.fork()
if child == 0:
    os._exit(len(run_shares(lambda share: share, share_rows(32))))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["2"]

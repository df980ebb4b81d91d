"""The rows of a batch side by side on a processor's threads.

A recurrence makes one small product after the other. Threads that share each product wait for each
other at every one of them; threads that have rows of their own never do.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

import torch

Result = TypeVar("Result")
_LEAST = 16
"""Fewer rows than these would leave a thread waiting for the weights."""


def share_rows(rows: int) -> list[slice]:
    """Which rows each of torch's threads gets; all rows in one piece if there are few."""
    pieces = max(1, min(torch.get_num_threads(), rows // _LEAST))
    ends = [rows * piece // pieces for piece in range(pieces + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]


def run_shares(function: Callable[[slice], Result], shares: list[slice]) -> list[Result]:
    """What a function without gradients gives for each share of the rows, in their order."""
    if len(shares) == 1:
        return [function(shares[0])]
    threads = torch.get_num_threads()

    def run(share: slice) -> Result:
        torch.set_num_threads(max(1, threads // len(shares)))
        with torch.no_grad():
            return function(share)

    try:
        return list(_pool(len(shares)).map(run, shares))
    finally:
        torch.set_num_threads(threads)  # what threads that start later take over


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="rows")


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)

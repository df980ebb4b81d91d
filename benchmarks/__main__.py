"""Runs every benchmark: `python -m benchmarks`."""

from benchmarks import (
    collect,
    collect_memory,
    collect_peers,
    read_states,
    shuffled_read,
    train_mlstm,
)
from benchmarks.timing import show

show(
    [
        read_states.rows,
        train_mlstm.rows,
        collect.rows,
        collect_peers.rows,
        collect_memory.rows,
        shuffled_read.rows,
    ]
)

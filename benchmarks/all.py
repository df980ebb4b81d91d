"""Every benchmark that compares speeds or sizes."""

from benchmarks import (
    collect,
    collect_memory,
    collect_peers,
    probe_sweep,
    rank_units,
    read_states,
    ridge_sweep,
    shuffled_read,
    train_mlstm,
)

ALL = [
    read_states.rows,
    train_mlstm.rows,
    collect.rows,
    collect_peers.rows,
    collect_memory.rows,
    shuffled_read.rows,
    rank_units.rows,
    probe_sweep.rows,
    ridge_sweep.rows,
]

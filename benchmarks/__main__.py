"""Runs every benchmark: `python -m benchmarks`."""

from benchmarks import read_states, train_mlstm
from benchmarks.timing import show

show([read_states.rows, train_mlstm.rows])

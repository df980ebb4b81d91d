"""Runs every benchmark: `python -m benchmarks`."""

from benchmarks.all import ALL
from benchmarks.timing import show

show(ALL)

"""Freed memory stays for the next pass inside the block, and goes back to the system after it."""

import subprocess
import sys

import pytest

MEASURED = """
import resource, torch
from worldscope.activations.allocator import keeping_freed_memory
from worldscope.activations.memory import anonymous_memory

def passes():
    for _ in range(3):
        blocks = [torch.ones(6 << 20) for _ in range(5)]
        del blocks

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    passes()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

passes()
with keeping_freed_memory():
    passes()
    inside, held = faults(), anonymous_memory()
print(inside, held - anonymous_memory())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc and its page faults are Linux's")
def test_pages_are_asked_for_once_inside_the_block_and_given_back_after_it() -> None:
    ran = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    inside, given_back = (int(number) for number in ran.stdout.split())
    assert inside < 100
    assert given_back > 4 * (24 << 20)

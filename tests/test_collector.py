"""The cyclic collector of the gateway: what its looks find, and how much they cover."""

import subprocess
import sys

_SET_UP = """
import gc, weakref
from evframe.cli.gateway import MOST_LOOKED_AT_AGAIN, set_up_collector


class Node:
    pass


def cycle():
    node = Node()
    node.itself = node
    return node

set_up_collector()
"""


def run(script):
    """Return what *script* prints in a process with the collector of the gateway."""
    command = [sys.executable, "-c", _SET_UP + script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout.split()


def test_a_cycle_that_breaks_off_late_is_freed():
    """A cycle that has survived full looks is freed by the next one after it breaks off."""
    script = """
used = cycle()
freed = weakref.ref(used)
for _ in range(3):
    gc.collect()
print(freed() is None)
del used
gc.collect()
print(freed() is None)
"""
    assert run(script) == ["False", "True"]


def test_a_look_is_bounded():
    """However many objects wait, a full look covers those that are new, and a bounded number of others."""
    script = """
covered = []


def watch(phase, info):
    if phase == "start" and info["generation"] == 2:
        covered.append(len(gc.get_objects()))


gc.callbacks.insert(0, watch)
waiting = [[number] for number in range(400_000)]
freed = []
for number in range(50):
    freed.append(weakref.ref(cycle()))
    waiting.extend([number] for number in range(2_000))
gc.collect()
print(len(covered), max(covered) - MOST_LOOKED_AT_AGAIN, sum(each() is None for each in freed))
"""
    looks, new, freed = map(int, run(script))
    assert looks > 10
    assert new < 8_000
    assert freed == 50

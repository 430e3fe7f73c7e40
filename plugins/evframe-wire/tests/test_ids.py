"""Ids of events that end with their process: each has its own, at each attempt, in each copy, and after a fork."""

import re
import subprocess
import sys

import pytest
from evframe_wire.ids import BLOCK, id_of, number_of, prefix_of, processes
from processes import bound

import evframe

DEFINITION = evframe.EventDefinition(0, "E_TEST")


@pytest.mark.parametrize("params", [None, {"n": 1}, [b"\xff"]])
def test_events_of_the_same_time_and_with_equal_bytes(params):
    """A clock may tick rarely, and nothing in such events differs: each has its own id, at each use."""
    raised = [DEFINITION.snapshot(params, 1.0) for _ in range(3 * BLOCK)]
    ids = [id_of(event) for event in raised]
    assert len(set(ids)) == len(ids)
    assert [id_of(event) for event in reversed(raised)] == ids[::-1]


def test_copies_are_the_same_event():
    """An event with headers, or for another member, has the id of the event, whichever is used first."""
    event = DEFINITION.snapshot({"n": 1}, 1.0)
    copy = event.handed_over(2.0)
    assert id_of(copy.carrying({})) == id_of(event) == id_of(copy)


def test_an_event_has_no_number_before_it_is_used():
    """An event that no transport names has none: numbers are given at the first use."""
    first, second = (DEFINITION.snapshot(None, 1.0) for _ in range(2))
    assert first.number == second.number == 0
    assert number_of(second) < number_of(first)
    assert DEFINITION.restored(DEFINITION.bare, 1.0).number == 0


def test_ids_have_one_length():
    """The frames of messages are made once for all ids of a length; what an id begins with is that of its block."""
    ids = [id_of(DEFINITION.snapshot(None, 1.0)) for _ in range(2 * BLOCK)]
    assert all(re.fullmatch("[0-9a-f]{16}-[0-9a-f]{16}", each) for each in ids)
    event = DEFINITION.snapshot(None, 1.0)
    assert id_of(event) == f"{prefix_of(number_of(event))}{number_of(event) % BLOCK:02x}"


FORKING = """
import os, sys
from evframe_wire.ids import id_of, number_of, prefix_of

class Event:
    number = 0

before, later = Event(), Event()
first = [id_of(before)]

def use(name):
    found = [id_of(before), id_of(later), *(id_of(Event()) for _ in range(600))]
    os.write(1, (name + " " + " ".join(found) + "\\n").encode())

pid = os.fork()
if not pid:
    use("child")
    if not os.fork():
        use("grandchild")
    else:
        os.wait()
    os._exit(0)
os.waitpid(pid, 0)
use("parent")
"""


def test_ids_after_a_fork():
    """Parent, child and grandchild give other ids; an event that had its id before the fork keeps it."""
    done = subprocess.run(bound(sys.executable, "-c", FORKING), capture_output=True, text=True, timeout=30, check=True)
    found = {name: ids for name, *ids in map(str.split, done.stdout.splitlines())}
    assert set(found) == {"parent", "child", "grandchild"}
    assert len({ids[0] for ids in found.values()}) == 1
    assert found["child"][1] == found["grandchild"][1] != found["parent"][1]
    new = [each for ids in found.values() for each in ids[2:]]
    assert len(set(new) | {found["parent"][0], found["parent"][1], found["child"][1]}) == 3 * 600 + 3


ADOPTING = """
import ast, sys
from evframe_wire.ids import ADOPTED, adopt, id_of

class Event:
    number = 0

numbers, others = ast.literal_eval(sys.argv[1])
own = [id_of(Event()) for _ in range(3)]
adopt(others)
for number in numbers:
    event = Event()
    event.number = number + ADOPTED
    print(id_of(event))
print(*own, id_of(Event()))
"""


def test_ids_of_another_process():
    """A process that gets the events of another one gives them the ids that they have there, and its own ones others."""
    events = [DEFINITION.snapshot(None, 1.0) for _ in range(2 * BLOCK)]
    numbers = [number_of(event) for event in events]
    argument = repr((numbers, processes()))
    done = subprocess.run(
        bound(sys.executable, "-c", ADOPTING, argument), capture_output=True, text=True, timeout=30, check=True
    )
    *adopted, own = done.stdout.splitlines()
    assert adopted == [id_of(event) for event in events]
    assert len({each.partition("-")[0] for each in own.split()}) == 1
    assert not {*own.split()} & {*adopted}

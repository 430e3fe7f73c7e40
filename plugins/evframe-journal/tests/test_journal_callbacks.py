"""Subscribers that end while a commit is under way, or in a callback of it."""

from evframe_journal.bounds import Bounds
from evframe_journal.dead import DeadLetters
from evframe_journal.journal import Journal
from evframe_journal.letters import Bounds as LetterBounds
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory

from evframe.events.event import EventRegistry
from evframe.plugin import UntilStored
from evframe.testing import FakeClock

DEFINITION = EventRegistry().register("E")


class HeldFile:
    """A file whose commit ends when the test says so."""

    def __init__(self):
        self.done = self.commit = None

    def write(self, commit, done):
        self.commit, self.done = commit, done

    def check(self, done):
        """Do nothing: the file is in its place."""


def made(file, letters=None):
    letters = letters or DeadLetters(bounds=LetterBounds(0, 0))
    clock = FakeClock()
    journal = Journal(
        file=file,
        bounds=Bounds(store_after_s=0.0),
        memory=Memory(1 << 20),
        event_of=DEFINITION.restored,
        report=lambda _: None,
        letters=letters,
        clock=clock,
        wall=clock,
    )
    journal.restore({})
    return journal


def test_a_callback_may_end_the_other_subscribers_of_a_commit():
    """What waited for the disk may end other subscribers of the same commit, whose letters are counted all the same."""
    file, letters = HeldFile(), DeadLetters(bounds=LetterBounds(1 << 20, 0))
    journal = made(file, letters)
    keys = ["udp:127.0.0.1:1", "udp:127.0.0.1:2"]
    queues = [journal.open(key, Limits(10), Calls()) for key in keys]
    for queue, other in zip(queues, reversed(keys), strict=True):
        assert queue.spill(DEFINITION.snapshot({"n": 1}, 0.0))
        queue.track(UntilStored(lambda _, other=other: journal.release(other)))
    letters.add(keys[0], [DEFINITION.snapshot({"n": 2}, 0.0)], ["rejected"])
    journal.tick()
    file.done(None, None)
    assert (letters.added, letters.waiting) == (1, 0)


def test_events_of_a_subscriber_that_ends_during_their_commit_do_not_come_back():
    """What is on disk of a subscriber is deleted, although it was written after the subscriber had ended."""
    file = HeldFile()
    journal = made(file)
    queue = journal.open("udp:127.0.0.1:1", Limits(10), Calls())
    assert queue.spill(DEFINITION.snapshot({"n": 1}, 0.0))
    journal.tick()
    assert [frame.positions for frame in file.commit.frames] == [[0]]
    queue.take(10, 1)
    queue.settle(1, ())
    journal.release("udp:127.0.0.1:1")
    file.done(None, None)
    journal.tick()
    assert file.commit.lows == {"udp:127.0.0.1:1": 1}

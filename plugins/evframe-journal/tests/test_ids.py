"""What names kept events: the same at each attempt and in each process, and no other event."""

import asyncio

from evframe_journal import JournalPlugin, Options
from evframe_journal.runs import Runs

import evframe
from evframe.config import parse_config
from evframe.testing import MemoryTransport, until


class Peer:
    """Takes events, or not, and keeps the names of all that came."""

    def __init__(self):
        self.seen: list[tuple[int, str]] = []
        self.takes = False

    def __call__(self, batch):
        if not batch.events:
            return True
        assert len(set(batch.ids)) == len(batch.events)
        self.seen += [(event[1], name) for event, name in zip(batch.events, batch.ids, strict=True)]
        if not self.takes:
            raise evframe.Unavailable("away")
        return True

    def names(self):
        """Return the name of each event, which it has had each time."""
        names = dict(self.seen)
        assert set(names.items()) == set(self.seen)
        assert len(set(names.values())) == len(names)
        return names


def interface(folder, peer, **options):
    memory = MemoryTransport()
    memory.when("peer", peer)
    journal = JournalPlugin(Options(path=str(folder / "journal"), **options))
    config = parse_config('[[policies]]\nsocket = "*"\nkeep = "disk"\n')
    events = evframe.EventInterface(config, plugins={"memory": memory, "journal": journal})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:peer")
    return events


async def test_events_that_wait_keep_their_names(tmp_path):
    """An event has its name at each attempt, and in the processes after the one that has raised it."""
    peer = Peer()
    for run in range(3):
        async with interface(tmp_path, peer) as events:
            for number in range(100 * run, 100 * run + 100):
                events.raise_event("E_A", [number])
            await until(lambda run=run: len(peer.seen) > 100 * run + 100)
    assert len(peer.names()) >= 100
    peer.takes = True
    async with interface(tmp_path, peer) as events:
        await until(lambda: events.statistics[0].delivered == 300)
    assert sorted(peer.names()) == list(range(300))


async def test_events_that_are_never_written_have_separate_names(tmp_path):
    """Processes whose peers take all leave nothing in the file, and yet no name comes twice."""
    peer = Peer()
    peer.takes = True
    for run in range(3):
        async with interface(tmp_path, peer) as events:
            for number in range(100 * run, 100 * run + 100):
                events.raise_event("E_A", [number])
            await until(lambda: events.statistics[0].delivered == 100)
    assert len(peer.names()) == 300


async def test_a_subscriber_that_comes_again(tmp_path):
    """A subscriber that ended and comes again does not use a name again."""
    peer = Peer()
    peer.takes = True
    async with interface(tmp_path, peer) as events:
        for number in range(10):
            events.raise_event("E_A", [number])
            await until(lambda number=number: len(peer.seen) > number)
            events.unsubscribe_event("E_A", "memory:peer")
            events.subscribe_event("E_A", "memory:peer")
            await asyncio.sleep(0)
    assert len(peer.names()) == 10


def test_runs():
    """A position is of the last run that begins at or before it; a frame has events of one run."""
    runs = Runs(100)
    runs.add(0, b"first...")
    runs.add(10, b"first...")
    runs.add(50, b"second..")
    positions = [0, 49, 50, 99, 100, 200]
    assert [runs.of(place) for place in positions[:4]] == [b"first...", b"first...", b"second..", b"second.."]
    assert runs.of(100) == runs.of(200)
    assert [runs.alike(positions, start, 10) for start in (0, 2, 4)] == [2, 4, 6]
    assert runs.alike(positions, 0, 1) == 1
    ids = runs.ids(positions)
    assert ids is not None
    assert len(set(ids)) == 6
    assert [runs.ids([place])[0] for place in positions] == ids


def test_events_of_a_file_without_names():
    """Events of a file of an earlier version have no names, and those behind them have."""
    runs = Runs(100)
    runs.add(0, b"")
    assert runs.ids([0, 1]) is None
    assert runs.ids([0, 100]) is None
    assert len(runs.ids([100, 101]) or ()) == 2

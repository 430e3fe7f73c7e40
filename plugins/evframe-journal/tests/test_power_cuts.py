"""Power that fails again and again: what was announced as stored arrives, in order, whatever of the rest is lost."""

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest
from evframe_journal.bounds import Bounds
from evframe_journal.dead import DeadLetters
from evframe_journal.file import JournalFile
from evframe_journal.journal import Journal
from evframe_journal.letters import Bounds as DeadBounds
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from power import Recorder, cut, files_of

from evframe.events.event import EventRegistry
from evframe.testing import FakeClock

CUTS = int(os.environ.get("EVFRAME_CUTS", "20"))
DEFINITION = EventRegistry().register("E")
KEYS = ("udp:127.0.0.1:1", "udp:127.0.0.1:2")
MOST_UNDER_WAY = 30


class Run:
    """A process with a journal, of which the log has what is announced and what is settled."""

    def __init__(self, path: Path, log: list, chance: random.Random, first: int):
        self.log, self.chance, self.number = log, chance, first
        self.clock = FakeClock()
        self.problems = []
        self.waiting = {key: [] for key in KEYS}  # numbers of events, in the order of their positions
        self.batch = 0
        self.file = JournalFile(str(path))
        self.journal = Journal(
            file=self.file,
            bounds=Bounds(frame_events=16),
            memory=Memory(200_000),
            event_of=DEFINITION.restored,
            report=self.problems.append,
            letters=DeadLetters(bounds=DeadBounds(1 << 30, 0)),
            clock=self.clock,
            wall=self.clock,
        )
        self.journal.restore(self.file.open())
        self.queues = {key: self.journal.open(key, Limits(20), Calls()) for key in KEYS}

    async def fold_often(self):
        """Have the write-ahead log folded into the file after few pages."""
        done = asyncio.get_running_loop().create_future()
        work = lambda: self.file._database.execute("PRAGMA wal_autocheckpoint = 15").fetchall()  # noqa: E731
        self.file._run(work, lambda result, error: done.set_result(error))
        assert await done is None

    def put(self, key, count):
        for _ in range(count):
            self.number += 1
            event = DEFINITION.snapshot([self.number, "x" * self.chance.randrange(300)], self.clock())
            queue = self.queues[key]
            if len(queue) < queue.room:
                queue.append(event)
            elif not queue.spill(event):
                continue  # memory is full until the next commit
            self.waiting[key].append(self.number)

    async def commit(self):
        self.clock.advance(1)
        while self.journal.tick():
            await asyncio.sleep(0)
        assert not any(self.problems)
        self.log.append(("stored", "", {number for numbers in self.waiting.values() for number in numbers}))

    def deliver(self, key):
        self.batch += 1
        events, _ = self.queues[key].take(self.chance.randint(1, MOST_UNDER_WAY), self.batch)
        numbers = [event.params[0] for event in events]
        self.log.append(("settled", "", numbers))
        self.queues[key].settle(self.batch, ())
        self.waiting[key] = [number for number in self.waiting[key] if number not in set(numbers)]
        return numbers

    async def work(self):
        for _ in range(self.chance.randint(5, 15)):
            for key in KEYS:
                self.put(key, self.chance.choice([0, 1, 20, 60]))
            if self.chance.random() < 0.7:
                await self.commit()
            if self.chance.random() < 0.5:
                self.deliver(self.chance.choice(KEYS))

    async def drain(self):
        """Deliver everything; return the numbers by subscriber."""
        came = {key: [] for key in KEYS}
        for key, queue in self.queues.items():
            while len(queue) + queue.stored:
                came[key] += self.deliver(key)
                await self.commit()
                await asyncio.sleep(0)
        return came


@pytest.mark.timeout(60 + 2 * CUTS)
async def test_nothing_announced_is_lost_when_the_power_fails(tmp_path):
    """After each of many cuts, every event that was announced as stored and not delivered comes, in order and once."""
    chance = random.Random(0)
    folder = tmp_path / "files"
    folder.mkdir()
    made = JournalFile(str(folder / "journal"))
    made.open()
    made.close()
    first, torn = 0, 0
    for _ in range(CUTS):
        before = files_of(folder)
        recorder = Recorder()
        with recorder.recording():
            run = Run(folder / "journal", recorder.log, chance, first)
            await run.fold_often()
            await run.drain()
            start = len(recorder.log)
            await run.work()
            run.file.close()
        log = recorder.log[: chance.randint(start, len(recorder.log))]
        wanted, settled = set(), set()
        for word, _, *data in log:
            wanted = data[0] if word == "stored" else wanted
            settled |= set(data[0]) if word == "settled" else set()
        writes = [each for each in log if each[0] in {"write", "sync", "truncate"}]
        torn += bool(writes) and writes[-1][0] != "sync"
        shutil.rmtree(folder)
        folder.mkdir()
        for path, image in cut(before, writes, chance).items():
            Path(path).write_bytes(image)
        again = Run(folder / "journal", [], chance, run.number)
        came = await again.drain()
        again.file.close()
        numbers = [number for each in came.values() for number in each]
        assert wanted - settled <= set(numbers)
        assert all(each == sorted(set(each)) for each in came.values())
        first = run.number
    assert torn

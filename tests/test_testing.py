"""The doubles and contracts for those who write plugins, used as they use them."""

import asyncio
import os
import resource
import sys
import time
from contextlib import asynccontextmanager
from itertools import count
from threading import Thread

import pytest

import evframe
from evframe.delivery.batch import Batch
from evframe.plugins.commands import Command, CommandError, text_param
from evframe.testing import (
    ConfigFile,
    FakeClock,
    MemorySocket,
    MemoryTransport,
    Peer,
    Recorder,
    SourceContract,
    Stalls,
    TransportContract,
    no_garbage,
    until,
)


class Counting:
    """A source for the tests: raises an event at the second count of a word."""

    def __init__(self, summary="A word was counted twice."):
        self._summary = summary
        self._seen = set()
        self._context = None

    @evframe.hookimpl
    def register_events(self, collector):
        collector.add("E_TWICE", {"word": evframe.Parameter(str, summary="The word.")}, summary=self._summary)

    @evframe.hookimpl
    def management_commands(self, commands):
        def forget(params):
            word = text_param(params, "word")
            if word not in self._seen:
                raise CommandError(404, "No such word")
            self._seen.discard(word)
            return "OK"

        commands.add(Command("counting:forget", (("word",),), forget, "forgets a word"))

    @evframe.hookimpl
    def loaded(self, context):
        self._context = context

    def count(self, word):
        if word in self._seen:
            self._context.raise_event("E_TWICE", {"word": word})
        self._seen.add(word)


class TestContract(SourceContract):
    name = "counting"

    def source(self):
        return Counting()

    async def provoke(self, recorder):
        recorder.plugin("counting").count("a")
        recorder.plugin("counting").count("a")


class TestContractFindsFaults(SourceContract):
    """What the contract is for."""

    name = "counting"

    def source(self):
        return Counting(summary="")

    def test_every_event_is_declared(self):
        """An event without a summary is found."""
        with pytest.raises(AssertionError, match="E_TWICE: expected a summary"):
            super().test_every_event_is_declared()

    async def test_every_event_is_raised(self):
        """An event that is never raised is found."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("evframe.testing.sources._LIMIT_S", 0.05)
            with pytest.raises(TimeoutError):
                await super().test_every_event_is_raised()

    async def provoke(self, recorder):
        recorder.plugin("counting").count("a")


async def test_recorder():
    """A recorder has what was raised since it was asked last, and answers commands."""
    async with Recorder({"counting": Counting()}) as recorder:
        counting = recorder.plugin("counting")
        counting.count("a")
        assert await recorder.events() == []
        counting.count("a")
        assert await recorder.events() == [("E_TWICE", {"word": "a"})]
        assert recorder.command("counting:forget", word="a") == "OK"
        with pytest.raises(CommandError, match="No such word"):
            recorder.command("counting:forget", word="a")
        recorder.register_event("E_OTHER")
        recorder.interface.raise_event("E_OTHER")
        assert await recorder.wait_for(1) == [("E_OTHER", None)]


def test_clock():
    """A clock stands still until it is told to go on."""
    clock = FakeClock(10.0)
    clock.advance(2.5)
    assert (clock(), clock()) == (12.5, 12.5)


async def test_config_file(tmp_path, installed):
    """Only the plugins that are named are loaded, and what is written is loaded again."""
    file = ConfigFile(tmp_path / "evframe.toml", "memory")
    async with file.interface('[[events]]\nname = "E_A"\n') as events:
        assert [status.name for status in events.plugin_status if status.problem is None] == ["memory"]
        file.write('[[events]]\nname = "E_B"\n')
        assert events.reload().events == ["E_B"]


def cycle():
    found = evframe.Outcome("a", None)
    object.__setattr__(found, "reason", [found])
    return found


def test_garbage_is_found():
    """`no_garbage` fails for a cycle with an object of ours, and not for others, nor for what is still used."""
    with no_garbage():
        others = []
        others.append(others)
        del others
        used = cycle()
    assert used
    with (
        pytest.raises(AssertionError, match="expected no garbage, got 2 objects, of which 1 are ours: 1 Outcome"),
        no_garbage(),
    ):
        cycle()


class Sleeps(MemoryTransport):
    """Blocks the loop with each batch, for a time that nothing but a measurement would notice."""

    seconds = 0.2

    @evframe.hookimpl
    def deliver(self, socket, batch):
        if not isinstance(socket, MemorySocket):
            return None
        time.sleep(self.seconds)
        self.delivered.setdefault(socket.name, []).extend(batch.events)
        return True


class SleepsShortly(Sleeps):
    """Blocks the loop for less than any bound in time could find on a loaded machine."""

    seconds = 0.0001


class Leaves(MemoryTransport):
    """Leaves a cycle for each subscriber that has ended."""

    @evframe.hookimpl
    def unsubscribed(self, socket):
        if isinstance(socket, MemorySocket):
            batch = Batch(())
            batch.error = KeyError(batch)
            batch.error.batch = batch


def contract_of(kind):
    """Return the contract of a transport in memory."""

    class Contract(TransportContract):
        def transport(self):
            self.memory = kind()
            return self.memory

        @asynccontextmanager
        async def peer(self):
            async def receive(count):
                await until(lambda: len(self.memory.delivered.get("a", ())) >= count)
                events = self.memory.delivered["a"]
                taken, events[:count] = events[:count], []
                return [event.payload for event in taken]

            yield Peer("memory:a", receive)

    return Contract()


async def test_the_contract_holds_for_a_transport_that_keeps_it():
    """What keeps the contract passes both of its checks."""
    await contract_of(MemoryTransport).test_loop_is_not_blocked()
    await contract_of(MemoryTransport).test_subscribers_leave_no_garbage()


async def test_the_contract_fails_a_transport_that_sends_twice():
    """A batch that goes out a second time is found, although its first time is in order."""

    class SendsTwice(MemoryTransport):
        @evframe.hookimpl
        def deliver(self, socket, batch):
            if batch.events:
                super().deliver(socket, batch)
            return super().deliver(socket, batch)

    await contract_of(MemoryTransport).test_every_event_arrives_in_order()
    with pytest.raises(AssertionError, match="300"):
        await contract_of(SendsTwice).test_every_event_arrives_in_order()


async def test_another_thread_that_has_the_interpreter():
    """The loop does not sleep where another thread of the process computes and keeps the interpreter's lock."""
    number = 3**1_500_000
    thread = Thread(target=lambda: number * number * number % 7)  # one operation, which no switch interrupts
    async with Stalls() as stalls:
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0)
    assert stalls.slept_s < 0.05


async def test_another_thread_that_ends_while_counters_are_read(monkeypatch):
    """What it has computed in a turn is not known any more: the turn has no time of sleep."""
    number = 3**1_500_000
    thread = Thread(target=lambda: number * number * number % 7)
    folders = os.listdir

    def listed(path):
        if thread.is_alive():
            thread.join()
        return folders(path)

    async with Stalls() as stalls:
        thread.start()
        monkeypatch.setattr(os, "listdir", listed)
        while thread.is_alive():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert stalls.slept_s < 0.05


async def test_a_wait_for_a_processor_while_counters_are_read(monkeypatch):
    """Time between the readings of two counters is no sleep of a turn, wherever it is."""

    def slowly(function):
        """Compute for a while within one of the calls."""
        calls = count(1)

        def call(*args):
            end_s = time.monotonic() + (0.1 if next(calls) == 5 else 0.0)
            while time.monotonic() < end_s:
                pass
            return function(*args)

        return call

    for module, name in ((os, "listdir"), (resource, "getrusage"), (time, "thread_time")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, slowly(getattr(module, name)))
            async with Stalls() as stalls:
                for _ in range(10):
                    time.sleep(0.001)  # the turn has given its processor away
                    await asyncio.sleep(0)
        assert stalls.slept_s < 0.05, name


async def test_the_contract_fails_a_transport_that_sleeps(monkeypatch):
    """Without blockbuster, too: the time in which the loop's thread slept is measured."""
    monkeypatch.setitem(sys.modules, "blockbuster.blockbuster", None)
    with pytest.raises(AssertionError, match=r"a turn of the loop slept for 0\.[1-9]"):
        await contract_of(Sleeps).test_loop_is_not_blocked()


async def test_the_contract_fails_a_transport_that_makes_a_blocking_call():
    """However short the call is, and whoever catches its error: it is counted."""
    pytest.importorskip("blockbuster")
    with pytest.raises(AssertionError, match="blocking calls on the loop: .'time.sleep'"):
        await contract_of(SleepsShortly).test_loop_is_not_blocked()


async def test_the_contract_fails_a_transport_that_leaves_garbage():
    """A cycle for each subscriber that has ended is found."""
    with pytest.raises(AssertionError, match="of which [1-9][0-9]* are ours"):
        await contract_of(Leaves).test_subscribers_leave_no_garbage()


def test_garbage_is_bounded():
    """The objects that a library leaves have a bound in numbers."""

    def leave():
        with no_garbage(most=5):
            for _ in range(10):
                ring = []
                ring.append(ring)

    with pytest.raises(AssertionError, match="expected at most 5 objects of garbage, got "):
        leave()

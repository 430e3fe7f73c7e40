"""Raising from any thread."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

import evframe
from evframe.config import Config, CoreOptions
from evframe.delivery.inbox import Inbox
from evframe.testing import MemoryTransport, until


def test_raise_from_many_threads(memory):
    """Events of eight threads all arrive, each thread's in its order."""
    with evframe.start_in_thread(plugins={"memory": memory}) as events:
        events.register_event("E_T", {"thread": int, "number": int})
        events.subscribe_event("E_T", "memory:a")

        def work(thread):
            for number in range(2000):
                events.raise_event("E_T", [thread, number])

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    got = [event.values for event in memory.delivered["a"]]

    for thread in range(8):
        assert [number for who, number in got if who == thread] == list(range(2000))


def raise_through_the_end(events):
    """Begin to raise in four threads."""
    stop, errors = threading.Event(), []

    def work():
        try:
            while not stop.is_set():
                events.raise_event("E_T", [1])
                time.sleep(0)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    return stop, threads, errors


async def test_raise_from_threads_while_the_interface_is_left(memory):
    """Threads that raise while an interface is left never call its loop, and each event has one outcome."""
    asyncio.get_running_loop().set_debug(True)
    memory.when("late", lambda batch: asyncio.sleep(3600))  # so that leaving takes its time
    events = evframe.EventInterface(Config(core=CoreOptions(drain_timeout_s=0.2)), plugins={"memory": memory})
    events.register_event("E_T")
    for name in ("late", "a"):
        events.subscribe_event("E_T", f"memory:{name}")
    async with events:
        stop, threads, errors = raise_through_the_end(events)
        await until(lambda: events.statistics[1].delivered)
    raised = events.event("E_T").raised
    await until(lambda: events.event("E_T").raised > raised)
    stop.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert errors == []
    for counters in events.statistics[:2]:
        assert counters.raised == events.event("E_T").raised == counters.delivered + counters.failed
        assert set(counters.reasons) <= {"shutdown"}


def test_same_calls(memory):
    """The calls of the interface work from a thread without a loop."""
    with evframe.start_in_thread(plugins={"memory": memory}) as events:
        assert events.register_event("E_T") == 0
        events.subscribe_event("E_T", "memory:a", 60)
        report = events.raise_event_and_wait("E_T", {"a": 1})
        assert events.unsubscribe_event("E_T", "memory:a")
        with pytest.raises(evframe.UnknownEventError):
            events.raise_event("E_NONE")
        with pytest.raises(evframe.SocketError):
            events.subscribe_event("E_T", "nosuch:a")

    assert [(outcome.socket, outcome.delivered) for outcome in report] == [("memory:a", True)]


def test_waiting_and_counting(memory):
    """A thread can wait for an event of another one, and see the counters."""
    with evframe.start_in_thread(plugins={"memory": memory}) as events:
        events.register_event("E_T")
        got = []
        waiting = threading.Thread(target=lambda: got.append(events.wait_for_event("E_T", timeout_s=30)))
        waiting.start()
        while len(events.statistics) < 2:
            pass
        events.raise_event("E_T", [1])
        waiting.join()
        with pytest.raises(TimeoutError):
            events.wait_for_event("E_T", where={"a": "x"}, timeout_s=0.01)

    assert [event[1] for event in got] == [1]


def test_calls_from_the_own_thread(memory):
    """What runs on the interface's thread may register and subscribe, and is told that it cannot wait there."""
    problems = []

    def on_the_loop(batch):
        events.register_event("E_NEW")
        events.subscribe_event("E_NEW", "memory:b")
        try:
            events.raise_event_and_wait("E_NEW")
        except RuntimeError as error:
            problems.append(str(error))
        return True

    memory.when("a", on_the_loop)
    with evframe.start_in_thread(plugins={"memory": memory}) as events:
        events.register_event("E_T")
        events.subscribe_event("E_T", "memory:a")
        assert events.raise_event_and_wait("E_T")[0].delivered
        assert events.raise_event_and_wait("E_NEW")[0].delivered

    assert problems == ["expected a thread other than the interface's own, which would wait for itself"]


def test_calls_after_the_end(memory):
    """After the end a call says so, and a raise is counted as lost."""
    events = evframe.start_in_thread(plugins={"memory": memory})
    events.register_event("E_T")
    for _ in range(2):
        events.close()
    for call in (lambda: events.subscribe_event("E_T", "memory:a"), lambda: events.raise_event_and_wait("E_T")):
        with pytest.raises(RuntimeError, match="got one that was closed"):
            call()
    events.raise_event("E_T")


def test_error_of_the_start_is_raised():
    """A plugin that cannot start is an error of `start_in_thread`."""

    class Broken:
        @evframe.hookimpl
        def start(self, context):
            raise OSError("address in use")

    with pytest.raises(OSError, match="address in use"):
        evframe.start_in_thread(plugins={"broken": Broken()})


async def test_full_inbox_is_counted():
    """What other threads raise faster than the loop takes it is counted, and nobody waits."""
    memory = MemoryTransport()
    events = evframe.EventInterface(Config(core=CoreOptions(queue_size=10)), plugins={"memory": memory})
    events.register_event("E_T")
    events.subscribe_event("E_T", "memory:a")
    async with events:
        thread = threading.Thread(target=lambda: [events.raise_event("E_T", [n]) for n in range(25)])
        thread.start()
        thread.join()  # the loop does nothing meanwhile
    counters = events.statistics[0]

    assert (counters.raised, counters.delivered, counters.reasons) == (25, 10, {"inbox_full": 15})


def test_raise_in_the_middle_of_a_raise():
    """A finaliser or a signal handler may raise an event while its thread is in the middle of a raise."""
    taken = []

    def take(event):
        taken.append(event)
        if event == "first":
            inbox.put("second")

    inbox = Inbox(10, take, print)
    inbox.stop()
    inbox.put("first")
    assert taken == ["first", "second"]


NEVER_CLOSED = """
import asyncio, atexit, logging, sys, evframe
from evframe.config import Config, CoreOptions
from evframe.testing import MemoryTransport

logging.basicConfig(format="%(message)s %(socket)s %(shutdown)s")
memory = MemoryTransport()
atexit.register(lambda: print(len(memory.delivered.get("a", ()))))  # what is registered later is called before
memory.when("never", lambda batch: asyncio.sleep(3600))
config = Config(core=CoreOptions(drain_timeout_s=float(sys.argv[1])))
events = evframe.start_in_thread(config, plugins={"memory": memory})
events.register_event("E_T")
events.subscribe_event("E_T", sys.argv[2])
for number in range(5000):
    events.raise_event("E_T", [number])
"""


def run_never_closed(tmp_path, *args):
    script = tmp_path / "service.py"
    script.write_text(NEVER_CLOSED, encoding="utf-8")
    command = [sys.executable, str(script), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_interface_that_was_never_closed(tmp_path):
    """A process that ends without closing its interface delivers what is queued."""
    done = run_never_closed(tmp_path, "30", "memory:a")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "5000\n"


def test_what_a_process_loses_at_its_end(tmp_path):
    """What a process that ends without closing its interface could not deliver in time is in its log."""
    done = run_never_closed(tmp_path, "0.1", "memory:never")
    assert done.returncode == 0
    assert done.stderr == "events were not delivered in time memory:never 5000\n"

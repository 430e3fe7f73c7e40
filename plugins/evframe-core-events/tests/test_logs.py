"""Log lines as events: which, what they say, and that none brings about the next."""

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
import time

import pytest
from evframe_core_events import CoreEvents, Options
from evframe_core_events.logs import EventHandler, RateLimit, level_of

import evframe
from evframe.delivery.nesting import delivering
from evframe.exceptions import Rejected
from evframe.plugins.commands import CommandError
from evframe.testing import FakeClock, MemorySocket, MemoryTransport, Recorder, until

LOG = "E_CORE_LOG"
app = logging.getLogger("app.orders")


@pytest.fixture(autouse=True)
def everything(caplog):
    caplog.set_level(logging.DEBUG, "app")


@contextlib.asynccontextmanager
async def listening(sleep=asyncio.sleep, clock=time.monotonic, plugins=None, **options):
    """Enter a recorder whose log events are on, for the loggers below `app`."""
    options = {"log_event_enabled": True, "logger": "app", **options}
    source = CoreEvents(Options(**options), sleep=sleep, clock=clock)
    async with Recorder({"core-events": source, **(plugins or {})}) as recorder:
        await until(lambda: is_attached(options["logger"]) == options["log_event_enabled"])
        await recorder.events()
        yield recorder


def is_attached(logger="app"):
    return any(isinstance(handler, EventHandler) for handler in logging.getLogger(logger).handlers)


async def lines(recorder):
    return [params for name, params in await recorder.events() if name == LOG]


async def test_event():
    """A line has its time, process, level, logger, function, prefix and text, in this order."""
    async with listening(log_prefix="PFX") as recorder:
        app.warning("order %d is late", 7, extra={"customer": "x"})
        (params,) = await lines(recorder)
    stamp = params.pop("time")
    assert len(stamp) == 15
    assert (
        abs(time.mktime(time.strptime(f"{time.localtime().tm_year} {stamp}", "%Y %b %d %H:%M:%S")) - time.time()) < 60
    )
    assert list(params.items()) == [
        ("pid", os.getpid()),
        ("level", "WARNING"),
        ("module", "app.orders"),
        ("function", "test_event"),
        ("prefix", "PFX:"),
        ("message", "order 7 is late  customer=x"),
    ]


async def test_day_of_one_digit():
    """The time always has 15 characters."""
    async with listening() as recorder:
        record = logging.LogRecord("app", logging.ERROR, "", 1, "text", None, None)
        record.created = time.mktime((2026, 11, 3, 1, 42, 1, 0, 0, -1))
        app.handle(record)
        (params,) = await lines(recorder)
    assert params["time"] == "Nov  3 01:42:01"
    assert "function" not in params
    assert "prefix" not in params


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a line\n", "a line"),
        ("a line\n\n", "a line\n"),
        ("x" * 20, "x" * 8),
        ("aaaaaaaä", "aaaaaaa"),  # two bytes, of which one would be left
        ("nul \0 \ud800", "nul \0 ?"),
        ("", ""),
    ],
)
async def test_message(text, expected):
    """One newline is cut off the end, and what is longer than the buffer; every text can be sent."""
    async with listening(log_msg_buf_size=8) as recorder:
        app.warning(text)
        (params,) = await lines(recorder)
    assert params["message"] == expected


async def test_traceback():
    """The traceback of an error is part of the message."""
    async with listening() as recorder:
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            app.exception("it failed")
        (params,) = await lines(recorder)
    assert params["message"].startswith("it failed\nTraceback")
    assert params["message"].endswith("RuntimeError: broken")


@pytest.mark.parametrize(
    ("number", "level"),
    [(70, -3), (60, -3), (50, -2), (45, -1), (40, -1), (30, 1), (25, 2), (20, 3), (19, 4), (10, 4), (0, 4)],
)
def test_levels(number, level):
    """Python's levels, and those between and above them, have a level of the original."""
    assert level_of(number) == level


@pytest.mark.parametrize(
    ("level_filter", "expected"),
    [
        (0, ["CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DBG"]),
        (-3, []),
        (-1, ["CRITICAL", "ERROR"]),
        (2, ["CRITICAL", "ERROR", "WARNING", "NOTICE"]),
        (4, ["CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DBG"]),
    ],
)
async def test_level_filter(level_filter, expected):
    """Lines up to a level raise events; 0 is no filter."""
    async with listening(log_event_level_filter=level_filter) as recorder:
        for number in (50, 40, 30, 25, 20, 10):
            app.log(number, "text")
        assert [params["level"] for params in await lines(recorder)] == expected


async def test_off_by_default():
    """The log has no handler unless it is enabled, and none after the end."""
    async with Recorder({"core-events": CoreEvents(Options(logger="app"))}) as recorder:
        await recorder.events()
        app.error("text")
        assert await lines(recorder) == []
        assert not is_attached()
    async with listening() as recorder:
        pass
    assert not is_attached()
    async with recorder:
        await until(is_attached)


async def test_from_any_thread():
    """Lines of other threads raise events in their order."""
    async with listening() as recorder:
        thread = threading.Thread(target=lambda: [app.info("line %d", number) for number in range(50)])
        thread.start()
        found = []
        while len(found) < 50:
            found += await lines(recorder)
            await asyncio.sleep(0.001)
        thread.join()
    assert [params["message"] for params in found] == [f"line {number}" for number in range(50)]


async def test_rate_limit(sleeper):
    """What is over the limit raises nothing, and one event has its number."""
    async with listening(sleeper.sleep, sleeper.clock, log_rate_limit=3) as recorder:
        for number in range(10):
            app.info("line %d", number)
        assert [params["message"] for params in await lines(recorder)] == ["line 0", "line 1", "line 2"]
        await sleeper.advance(1)
        (told,) = await lines(recorder)
        assert told["message"] == "7 log lines were over log_rate_limit and raised no event"
        assert told["level"] == "WARNING"
        app.info("line")
        await sleeper.advance(1)
        assert [params["message"] for params in await lines(recorder)] == ["line"]


def test_rate_limit_of_zero():
    """A limit of 0 is none."""
    limit = RateLimit(0, FakeClock())
    assert all(limit.allows() for _ in range(1000))
    assert limit.take_lost() == 0


class CodeSocket(MemorySocket):
    """``code:name``."""

    @property
    def canonical(self):
        return f"code:{self.name}"


class Code(MemoryTransport):
    """A transport for the tests that calls code for each event: in the loop, in a task, or on a thread."""

    def __init__(self, kind, code):
        self.kind, self.code = kind, code
        self.calls = 0

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return CodeSocket(rest) if scheme == "code" else None

    def _call(self, batch):
        for event in batch.events:
            self.calls += 1
            self.code(event)

    async def _wait(self, batch):
        await asyncio.sleep(0)
        self._call(batch)
        await asyncio.create_task(asyncio.sleep(0))
        logging.getLogger("app.after").error("after a while")

    @evframe.hookimpl
    def deliver(self, socket, batch):
        if self.kind == "inline":
            self._call(batch)
            return True
        return self._wait(batch) if self.kind == "async" else asyncio.to_thread(self._call, batch)


def logs(event):
    logging.getLogger("app.handler").error("handled %s", event.name)


@pytest.mark.parametrize("kind", ["inline", "async", "thread"])
@pytest.mark.parametrize("name", [LOG, "E_OTHER"])
async def test_lines_of_a_handler_raise_nothing(kind, name):
    """What handles an event may log, in any way it runs: it raises no event for that, of this event or another."""
    code = Code(kind, logs)
    async with listening(plugins={"code": code}) as recorder:
        recorder.interface.register_event("E_OTHER")
        recorder.interface.subscribe_event(name, "code:mine")
        recorder.interface.raise_event("E_OTHER")
        app.info("one")
        await until(lambda: code.calls)
        await asyncio.sleep(0.02)
        assert [params["message"] for params in await lines(recorder)] == ["one"]
        assert code.calls == 1
        app.info("two")
        assert [params["message"] for params in await lines(recorder)] == ["two"]


async def test_lines_of_a_nested_handler_raise_nothing_q18():
    """Q-18: a handler of a log event that raises another event, whose handler ends, is as mute after that as before."""

    def nested(event):
        logs(event)
        if event.name == LOG:
            recorder.interface.raise_event("E_OTHER")
        logs(event)

    code = Code("inline", nested)
    async with listening(plugins={"code": code}) as recorder:
        recorder.interface.register_event("E_OTHER")
        for name in (LOG, "E_OTHER"):
            recorder.interface.subscribe_event(name, "code:mine")
        app.info("one")
        await until(lambda: code.calls == 2)
        assert [params["message"] for params in await lines(recorder)] == ["one"]
    assert not delivering.get()


async def test_lines_of_the_delivery_raise_nothing(caplog):
    """What the core logs about a delivery that fails raises no event."""
    caplog.set_level(logging.DEBUG)

    def fails(_):
        raise Rejected("bad")

    async with listening(logger="evframe.delivery") as recorder:
        recorder._memory.when("bad", fails)
        recorder.interface.subscribe_event(LOG, "memory:bad")
        logging.getLogger("evframe.delivery").error("one")
        found = await lines(recorder)
        await asyncio.sleep(0.02)
        found += await lines(recorder)
    assert [params["message"] for params in found] == ["one"]
    assert "events to a subscriber are lost" in caplog.text


async def test_lines_of_the_line_raise_nothing_q18(monkeypatch):
    """Q-18: a value that logs while its line is made into an event raises none, and the state before is restored."""

    class Chatty:
        def __str__(self):
            logging.getLogger("app.chatty").error("I am asked")
            return "chatty"

    monkeypatch.setattr(logging.getLogger("app"), "propagate", False)  # other handlers ask too
    async with listening() as recorder:
        app.info("%s", Chatty())
        token = delivering.set(True)
        app.info("muted")
        assert delivering.get()
        delivering.reset(token)
        app.info("again")
        assert [params["message"] for params in await lines(recorder)] == ["chatty", "again"]


async def test_finaliser_that_logs():
    """A finaliser may log in the middle of a line of the same thread."""

    class Last:
        def __init__(self):
            self.me = self

        def __del__(self):
            app.info("gone")

    async with listening(log_rate_limit=0) as recorder:

        def work():
            for _ in range(200):
                Last()
                app.info("line")
                gc.collect(0)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, 30)
        assert not thread.is_alive()
        texts = [params["message"] for params in await lines(recorder)]
    assert texts.count("line") == 200


async def test_line_that_cannot_be_formatted(monkeypatch, capsys):
    """A line whose arguments do not fit is reported as by any other handler, and spoils nothing."""
    monkeypatch.setattr(logging, "raiseExceptions", True)
    async with listening() as recorder:
        monkeypatch.setattr(logging.getLogger("app"), "propagate", False)
        app.info("%d", "text")
        app.info("next")
        assert [params["message"] for params in await lines(recorder)] == ["next"]
    assert "Logging error" in capsys.readouterr().err


async def test_nobody_has_subscribed(monkeypatch):
    """Without a subscriber no line is made into an event."""
    formatted = []
    source = CoreEvents(Options(log_event_enabled=True, logger="app"))
    async with evframe.EventInterface(plugins={"core-events": source, "memory": MemoryTransport()}):
        await until(is_attached)
        monkeypatch.setattr(EventHandler, "_params", lambda *_: formatted.append(1) or {})
        app.info("text")
    assert formatted == []


async def test_commands():
    """The consumer event can be muted and filtered at run time."""
    async with listening(log_event_enabled=False) as recorder:
        command = recorder.command
        assert command("core:log_mute_state", consumer="event") == {"Mute state": 1}
        assert command("log_mute_state", consumer="event", mute_state=0) == "OK"
        await until(is_attached)
        assert command("log_mute_state", consumer="event") == {"Mute state": 0}
        assert command("log_level_filter", consumer="event") == {"Log level filter": 0}
        assert command("core:log_level_filter", consumer="event", level_filter="-1") == "OK"
        assert command("log_level_filter", consumer="event") == {"Log level filter": -1}
        app.info("passed over")
        app.error("heard")
        assert [params["message"] for params in await lines(recorder)] == ["heard"]
        assert command("log_mute_state", consumer="event", mute_state=1) == "OK"
        app.error("passed over")
        assert await lines(recorder) == []
        assert not is_attached()
        command("log_mute_state", consumer="event", mute_state=0)
        await until(is_attached)
        for state in (1, 0):
            command("log_mute_state", consumer="event", mute_state=state)
        await asyncio.sleep(0.01)
        assert is_attached()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("log_mute_state", {"consumer": "syslog"}),
        ("log_mute_state", {"consumer": "event", "mute_state": 2}),
        ("log_level_filter", {"consumer": "stderror", "level_filter": 1}),
        ("log_level_filter", {"consumer": "event", "level_filter": 5}),
    ],
)
def test_bad_commands(name, params):
    """Another consumer, and a value out of range, are refused."""
    events = evframe.EventInterface(plugins={"core-events": CoreEvents()})
    with pytest.raises(CommandError) as error:
        events.commands.find(name).run(params)
    assert (error.value.code, error.value.message) == (400, "Bad parameter value")


def test_from_a_thread_of_its_own():
    """An interface on another thread takes the lines of the others."""
    memory = MemoryTransport()
    source = CoreEvents(Options(log_event_enabled=True, logger="app"))
    with evframe.start_in_thread(plugins={"core-events": source, "memory": memory}) as events:
        events.subscribe_event(LOG, "memory:a")
        deadline = time.monotonic() + 30
        while not is_attached():
            assert time.monotonic() < deadline
            sys.stdout.flush()
        app.info("text")
    assert [event.get("message") for event in memory.delivered["a"]] == ["text"]

"""Calls of code that others have written: whatever it raises is a failure of that call."""

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from processes import child

import evframe
from evframe.calls import comes_from_outside, contained, foreign_call, without_tracebacks
from evframe.cli.gateway import run_loop
from evframe.config import parse_config
from evframe.plugin import Policy, Terms
from evframe.plugins.hookspecs import NAMES as HOOKS
from evframe.testing import MemoryTransport, until


class Own(BaseException):
    """An exception of a plugin that is no Exception."""


ERRORS = (SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, Own)


def caught(call):
    try:
        call()
    except BaseException as error:
        return comes_from_outside(error)


def raising(kind):
    def call(*_, **__):
        raise kind("of the plugin")

    return call


@pytest.mark.parametrize("kind", [*ERRORS, ValueError])
@pytest.mark.parametrize("in_task", [False, True])
def test_what_the_code_raises_is_its_own(kind, in_task):
    """What code raises comes from it, on the main thread, on another one, and in a task."""
    found = []

    async def task():
        found.append(caught(raising(kind)))

    if in_task:
        asyncio.run(task())
    thread = threading.Thread(target=lambda: found.append(caught(raising(kind))))
    thread.start()
    thread.join()
    assert caught(raising(kind)) is False
    assert set(found) == {False}


def exits(number, frame):
    raise SystemExit(number)


class Exits:
    def __call__(self, number, frame):
        exits(number, frame)

    def method(self, number, frame):
        sys.exit(number)


@pytest.mark.parametrize(
    "handler", [exits, Exits(), Exits().method, functools.partial(Exits().method), signal.default_int_handler]
)
def test_a_signal_comes_from_outside(handler):
    """What the handler of a signal raises does not come from the code that it interrupts."""
    old = signal.signal(signal.SIGINT, handler)
    try:
        assert caught(lambda: signal.raise_signal(signal.SIGINT)) is True
        assert caught(lambda: os.kill(os.getpid(), signal.SIGINT)) is True
        assert caught(raising(KeyboardInterrupt)) is False
        assert caught(sys.exit) is False
    finally:
        signal.signal(signal.SIGINT, old)


async def test_the_cancellation_of_a_task_comes_from_outside():
    """A task that is cancelled is cancelled; CancelledError that its work raises, or waits for, is a failure."""
    task = asyncio.create_task(contained(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()

    future = asyncio.get_running_loop().create_future()
    future.cancel()
    for work in (future, asyncio.to_thread(raising(asyncio.CancelledError))):
        with pytest.raises(evframe.PluginError, match="CancelledError"):
            await asyncio.create_task(contained(work))


async def test_the_close_of_a_coroutine_comes_from_outside():
    """A coroutine that is closed ends; GeneratorExit that it raises is its own."""
    found = []

    async def work(kind=None):
        try:
            if kind is not None:
                raise kind
            await asyncio.sleep(60)
        except GeneratorExit as error:
            found.append(comes_from_outside(error))

    closed = work()
    closed.send(None)
    closed.close()
    await work(GeneratorExit)
    assert found == [True, False]


@pytest.mark.parametrize("kind", ERRORS)
def test_a_foreign_call_ends_nothing_else(kind):
    """What is no Exception becomes a PluginError that names the call; an Exception stays what it is."""
    with pytest.raises(
        evframe.PluginError, match=r"plugin 'x': expected a result or an Exception, got .*of the plugin"
    ):
        with foreign_call("plugin 'x'"):
            raising(kind)()
    with pytest.raises(LookupError), foreign_call("plugin 'x'"):
        raising(LookupError)()


ARGUMENTS = {
    "on_subscribe": "scheme, rest",
    "unsubscribed": "socket",
    "describe": "socket",
    "lease_changed": "lease, change",
    "delivery_changed": "socket, reason",
    "status_changed": "change",
    "event_registered": "event",
    "connection_closed": "peer, local, protocol",
    "addresses_changed": "host, addresses",
    "host_answered": "host",
    "subscriber_released": "subscriber",
    "check_policy": "policy, event",
    "compile_filter": "dialect, text",
    "limit_queue": "queue, subscriber, policy, wake",
    "events_failed": "subscriber, events, reasons, error",
    "open_queue": "subscriber, room, policy, wake",
    "lease_kept": "lease",
    "lease_due": "lease",
}


def broken(hook, kind):
    """Return a transport whose *hook* raises *kind*; pluggy reads the names of its arguments."""
    transport = MemoryTransport()
    call = eval(f"lambda {ARGUMENTS.get(hook, '')}: call()", {"call": raising(kind)})
    setattr(transport, hook, evframe.hookimpl(call))
    return transport


OTHERS = {
    "register_cli",
    "register_events",
    "management_commands",
    "loaded",
    "start",
    "reconfigure",
    "on_subscribe",
    "deliver",
    "check_lease",
    "check_target",
    "check_policy",
    "compile_filter",
    "networks_beyond",
    "reloaded",
}
"""The hooks whose errors are not only logged, which have tests of their own."""


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("hook", sorted(set(HOOKS) - OTHERS))
async def test_a_hook_that_exits_is_logged(caplog, hook, kind):
    """A hook that raises anything is logged, and subscribers and the end of the interface do not notice."""
    memory = broken(hook, kind)
    memory.policy_keys = {"dead_letter"}
    async with evframe.EventInterface(plugins={"memory": memory}) as events:
        events.register_event("E_T")
        lease = events.subscribe_event("E_T", "memory:a")
        events.describe(lease.subscriber.socket)
        assert events.plugins.worker_groups() == []
        events.composition.loaded["memory"].context.connection_closed(("h", 1), ("h", 2), "tcp")
        events.plugins.statistics()
        events.plugins.notify("addresses_changed", host="h", addresses=())
        events.plugins.notify("host_answered", host="h")
        events.plugins.notify("reload_refused", problems=("core.queue_size: expected 1 or more, got 0",))
        events.status.group("x").add()
        events.status.group("x").set_status(-1)
        events.subscribe_event("E_T", "memory:b", policy=Policy(dead_letter=True))
        memory.when("b", lambda batch: batch.fail(0, "refused") or True)
        assert [outcome.reason for outcome in await events.raise_event_and_wait("E_T", [1])] == ["refused", None]
        events.unsubscribe_event("E_T", "memory:b")
        for each in ("lease_kept", "lease_due"):
            assert events.plugins.collect(each, lease=lease) == []
        assert [outcome.reason for outcome in await events.raise_event_and_wait("E_T", [2])] == [None]

    assert any(record.exc_info and record.exc_info[0] is kind for record in caplog.records)
    assert [event.params for event in memory.delivered["a"]] == [(1,), (2,)]


@pytest.mark.parametrize("kind", ERRORS)
def test_a_decision_that_exits_is_an_error_of_its_caller(kind):
    """A hook that decides what is permitted permits nothing when it raises: its caller gets the error."""

    class Plugin:
        check_lease = check_target = evframe.hookimpl(lambda self, socket: raising(kind)())
        networks_beyond = evframe.hookimpl(lambda self, endpoints: raising(kind)())
        check_policy = evframe.hookimpl(lambda self, policy: raising(kind)())
        compile_filter = evframe.hookimpl(lambda self, text: raising(kind)())
        policy_keys = ("rate",)

    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), "plugin": Plugin()})
    events.register_event("E_T")
    with pytest.raises(evframe.PluginError, match=kind.__name__):
        events.restore_subscription("E_T", "memory:a", Terms(60), 60)
    with pytest.raises(evframe.PluginError, match=kind.__name__):
        events.subscribe_event("E_T", "memory:a", policy=Policy(rate=1.0))
    with pytest.raises(evframe.PluginError, match=kind.__name__):
        events.composition.loaded["plugin"].context.compile_filter("a = 1")
    assert events.subscriptions == []
    context = events.composition.loaded["plugin"].context
    with pytest.raises(evframe.PluginError, match=kind.__name__):
        context.networks_beyond([("h", 1)])
    with pytest.raises(evframe.PluginError, match=kind.__name__):
        context.plugins.decide("check_target", socket=context.transports.parse("memory:a").socket, interface="")


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("hook", ["register_events", "management_commands", "loaded", "start"])
async def test_a_hook_of_the_start_that_exits_is_an_error(hook, kind):
    """What a hook of the start raises is an error of the start, which names the plugin and the hook."""

    class Plugin:
        pass

    setattr(Plugin, hook, evframe.hookimpl(lambda self: raising(kind)()))
    with pytest.raises(evframe.PluginError, match=f"plugin 'mine', hook '{hook}': .*of the plugin"):
        async with evframe.EventInterface(plugins={"mine": Plugin()}):
            pass


@pytest.mark.parametrize("kind", ERRORS)
async def test_a_socket_that_exits_is_an_error(kind):
    """What `on_subscribe` raises is an error of the subscription."""
    events = evframe.EventInterface(plugins={"mine": broken("on_subscribe", kind)})
    events.register_event("E_T")
    with pytest.raises(evframe.PluginError, match="plugin 'mine', hook 'on_subscribe'"):
        events.subscribe_event("E_T", "memory:a")


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("way", ["call", "awaitable"])
async def test_a_delivery_that_exits_is_an_outcome(events, memory, kind, way):
    """What `deliver`, or what it returns, raises is the outcome of its batch; everything else is delivered."""

    def deliver(batch):
        if batch.events[0].params == (0,):
            raise kind("of the plugin")
        return True

    async def work(batch):
        await asyncio.sleep(0)
        deliver(batch)

    memory.when("broken", deliver if way == "call" else work)
    async with events:
        events.subscribe_event("E_A", "memory:broken")
        events.subscribe_event("E_A", "memory:a")
        for n, expected in ((1, None), (0, "plugin_error"), (2, None)):
            report = await events.raise_event_and_wait("E_A", [n])
            assert [outcome.reason for outcome in report] == [None, expected]


@pytest.mark.parametrize("kind", ERRORS)
async def test_a_task_of_a_plugin_that_exits_is_logged(caplog, kind):
    """A task that a plugin has spawned ends alone, whatever ends it."""

    class Plugin:
        @evframe.hookimpl
        def start(self, context):
            async def work():
                raise kind("of the plugin")

            self.task = context.spawn(work())

    plugin = Plugin()
    async with evframe.EventInterface(plugins={"mine": plugin}):
        await asyncio.wait([plugin.task])
    assert "of the plugin" in repr(plugin.task.exception())
    assert "a plugin's task ended with an error" in caplog.messages


@pytest.mark.parametrize("kind", ERRORS)
async def test_what_is_called_with_outcomes_may_exit(events, caplog, kind):
    """What is called with the outcomes of an event changes no counter, whatever it raises."""
    async with events:
        events.subscribe_event("E_A", "memory:a")
        for _ in range(3):
            events.raise_event_and_tell("E_A", [1], raising(kind))
        await until(lambda: events.statistics[0].delivered == 3)
    assert "what was to be called with an event's outcome raised an error" in caplog.messages


@pytest.mark.parametrize("kind", ERRORS)
def test_a_plugin_whose_import_exits_is_reported(install, kind):
    """A plugin whose import raises anything is reported with it, and the others work."""
    folder = install(memory="evframe.testing:MemoryTransport", broken=f"exits_{kind.__name__}:Plugin")
    (folder / f"exits_{kind.__name__}.py").write_text(
        "import asyncio\nfrom asyncio import CancelledError\nclass Own(BaseException):\n    pass\n"
        f"raise {kind.__name__}('needs a newer Python')\n"
    )
    status = {status.name: status for status in evframe.EventInterface().plugin_status}
    assert status["broken"].problem == f"{kind.__name__}: needs a newer Python"
    assert status["memory"].problem is None


def test_a_plugin_that_exits_refuses_a_reload(install):
    """A plugin that raises SystemExit when it gets other options refuses the configuration, with its path."""
    folder = install(mine="plugin_exits:Plugin")
    (folder / "plugin_exits.py").write_text(
        "import attrs, sys, evframe\n@attrs.frozen\nclass Options:\n    n: int = 0\n"
        "class Plugin:\n    Options = Options\n    def __init__(self, options):\n        pass\n"
        "    @evframe.hookimpl\n    def reconfigure(self, options):\n        sys.exit(3)\n"
    )
    events = evframe.EventInterface()
    with pytest.raises(evframe.ConfigError, match=r"plugins.mine: .*SystemExit"):
        events.reload(parse_config("[plugins.mine]\nn = 1"))


def test_the_loop_of_the_gateway_resumes(caplog):
    """A task, or a callback, that the core does not know ends itself and not the gateway."""
    done = []

    async def broken():
        sys.exit(3)

    async def serve():
        loop = asyncio.get_running_loop()
        for callback in (sys.exit, raising(KeyboardInterrupt)):
            loop.call_soon(callback)
            loop.call_soon(done.append, callback)
        task = loop.create_task(broken())
        while not (task.done() and len(done) == 2):
            await asyncio.sleep(0)

    run_loop(serve())
    assert len(done) == 2
    assert "a task or a callback tried to end the process" in caplog.messages


PROGRAM = """
import sys, evframe
from evframe.cli import gateway

class Plugin:
    @evframe.hookimpl
    def start(self, context):
        print("ready", flush=True)
        while True:
            pass

interface = evframe.EventInterface(plugins={"mine": Plugin()})

async def serve():
    async with interface:
        pass

{how}
"""


@pytest.mark.parametrize("how", ["gateway.run_loop(serve())", "import asyncio; asyncio.new_event_loop().run_until_complete(serve())"])  # fmt: skip
def test_ctrl_c_ends_a_process_that_a_plugin_holds(how):
    """A real Ctrl-C in the midst of a plugin's code ends the process."""
    source = PROGRAM.replace("{how}", how)
    with child(sys.executable, "-c", source, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout.readline() == b"ready\n"
        program.send_signal(signal.SIGINT)
        program.wait(timeout=20)
        assert b"KeyboardInterrupt" in program.stderr.read()
    assert program.returncode


def test_errors_that_lead_to_each_other():
    """The tracebacks of errors in a circle are dropped, which ends."""
    first, second = ValueError(), KeyError()
    for error in (first, second):
        with suppress(type(error)):
            raise error
    first.__cause__, second.__context__ = second, first
    without_tracebacks(first)
    assert first.__traceback__ is second.__traceback__ is None


def test_an_error_that_was_never_raised_hides_no_traceback():
    """The traceback behind an error that has none itself is dropped, too."""
    raised, never = ValueError(), KeyError()
    with suppress(ValueError):
        raise raised
    never.__cause__ = raised
    assert without_tracebacks(never) is never
    assert raised.__traceback__ is None

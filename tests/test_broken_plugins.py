"""Plugins that break the contract: the error names the plugin and the hook, and nothing else stops."""

import logging
import os
import re
import subprocess
import sys
import types
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from processes import child

import evframe
from evframe import Unavailable
from evframe.cli import main
from evframe.config import Config
from evframe.delivery.limits import Limits
from evframe.testing import MemoryTransport, until


def interface(memory, **plugins):
    events = evframe.EventInterface(plugins={"memory": memory, **plugins})
    events.register_event("E_A")
    return events


def too_many(batch):
    raise Unavailable("closed", done=99)


def fails_beyond(batch):
    batch.fail(99, "x")
    return True


def confirms_beyond(batch):
    batch.confirm(99)
    raise Unavailable("closed")


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (too_many, "plugin 'memory', hook 'deliver': expected done from 0 to 1, got 99"),
        (fails_beyond, "Batch.fail: expected an index from 0 to 0, got 99"),
        (confirms_beyond, "plugin 'memory', hook 'deliver': Batch.confirm: expected an index from 0 to 0, got 99"),
    ],
)
async def test_an_outcome_that_no_event_has_is_an_error_of_the_plugin(memory, caplog, behaviour, said):
    """The events are counted as failed and not as delivered, one line names the plugin, and others get theirs."""
    memory.when("bad", behaviour)
    async with interface(memory) as events:
        for name in ("bad", "good"):
            events.subscribe_event("E_A", f"memory:{name}")
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                report = await events.raise_event_and_wait("E_A")
                assert {one.socket: one.reason for one in report} == {"memory:bad": "plugin_error", "memory:good": None}
    (line,) = [line for line in caplog.records if line.message == "events to a subscriber are lost"]
    assert (line.plugin, line.hook) == ("memory", "deliver")
    assert said in str(line.exc_info[1])


def takes_out(batch):
    batch.events.pop()
    return True


def assigns(batch):
    batch.events = batch.events[:1]
    return True


def writes_a_failure(batch):
    batch.failures[0] = "mine"
    return True


def writes_a_confirmation(batch):
    batch.confirmed.add(0)
    return True


@pytest.mark.parametrize("behaviour", [takes_out, assigns, writes_a_failure, writes_a_confirmation])
async def test_the_events_of_a_batch_stay(memory, behaviour):
    """A transport that changes its batch without its methods has the events counted as failed: each has an outcome."""
    memory.when("bad", behaviour)
    async with interface(memory) as events:
        subscriber = events.subscribe_event("E_A", "memory:bad").subscriber
        for _ in range(2):
            events.raise_event("E_A")
        await until(lambda: not subscriber.depth)
        assert (subscriber.raised, subscriber.delivered, subscriber.failed) == (2, 0, 2)


SPAWNS = """
class Plugin:
    @evframe.hookimpl
    def loaded(self, context):
        context.spawn(self.work())

    async def work(self):
        pass
"""


@pytest.mark.filterwarnings("error")
async def test_spawn_in_loaded_names_the_plugin(install, caplog):
    """The plugin is not loaded, its status says why, and the others are; where it is configured, `check` fails."""
    folder = install(memory="evframe.testing:MemoryTransport", spawns="broken_spawns:Plugin")
    (folder / "broken_spawns.py").write_text("import evframe\n" + SPAWNS)
    events = evframe.EventInterface()
    status = {status.name: status.problem for status in events.plugin_status}
    said = "hook 'loaded': PluginError: plugin 'spawns', spawn: expected a call from the hook 'start' on"
    assert (status["spawns"], status["memory"]) == (said, None)
    assert not events.plugins.has_plugin("spawns")
    lines = [(line.plugin, line.hook) for line in caplog.records if line.message == "a plugin raised an error"]
    assert lines == [("spawns", "loaded")]
    with pytest.raises(
        evframe.ConfigError, match="plugins.spawns: expected a plugin that can be loaded, got hook 'loa"
    ):
        evframe.EventInterface(Config(plugins={"spawns": {}}))


async def test_spawn_from_start_on(memory):
    """A task that `start` spawns runs."""
    done = []

    class Starts:
        @evframe.hookimpl
        def start(self, context):
            context.spawn(self.work())

        async def work(self):
            done.append(True)

    async with interface(memory, starts=Starts()) as events:
        await events.raise_event_and_wait("E_A")
    assert done == [True]


@pytest.mark.parametrize(
    ("attribute", "meant"),
    [
        ("limit", "limits"),
        ("limites", "limits"),
        ("scheme", "schemes"),
        ("library_log", "library_logs"),
    ],
)
def test_an_attribute_that_is_nearly_one_of_the_core_is_refused(attribute, meant):
    """A misspelt attribute would silently have its default; other attributes are the plugin's."""

    class Plain:
        size = 5

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return None

    evframe.EventInterface(plugins={"plain": Plain()})
    misspelt = type("Misspelt", (Plain,), {attribute: 5})()
    expected = f"plugin 'odd': unknown attribute {attribute!r}, did you mean {meant!r}"
    with pytest.raises(evframe.PluginError, match=re.escape(expected)):
        evframe.EventInterface(plugins={"odd": misspelt})


@pytest.mark.parametrize("attribute", [field.name for field in attrs.fields(Limits)])
def test_a_limit_as_an_attribute_is_refused(attribute):
    """What belongs into the limits of a plugin would have no effect beside them."""
    plugin = type("Beside", (), {attribute: 5})()
    expected = f"plugin 'odd': expected {attribute!r} in its limits, got it as an attribute"
    with pytest.raises(evframe.PluginError, match=re.escape(expected)):
        evframe.EventInterface(plugins={"odd": plugin})


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"inflight": 5}, "unexpected keyword argument 'inflight'"),
        ({"in_flight": -1}, "in_flight: expected 0 or more, got -1"),
        ({"batch_events": 0}, "batch_events: expected 1 or more, got 0"),
        ({"batch_events": "9"}, "batch_events: expected 1 or more, got '9'"),
        ({"in_flight_batches": True}, "in_flight_batches: expected 1 or more, got True"),
        ({"in_flight_batches": 1.5}, "in_flight_batches: expected 1 or more, got 1.5"),
    ],
)
def test_limits_are_typed(wrong, problem):
    """A limit that does not exist, or that no transport can have, is an error where it is written."""
    with pytest.raises((TypeError, ValueError), match=re.escape(problem)):
        Limits(**wrong)


def test_limits_of_another_kind_are_refused():
    """A dict in the place of limits is an error of the plugin."""
    with pytest.raises(
        evframe.PluginError, match=r"plugin 'odd': expected limits to be an evframe\.plugin\.Limits, got \{"
    ):
        evframe.EventInterface(plugins={"odd": type("Odd", (), {"limits": {"in_flight": 5}})()})


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("schemes", "odd", "schemes: expected a tuple of texts such as ('udp',), got 'odd'"),
        ("schemes", (1,), r"schemes: expected a tuple of texts such as ('udp',), got (1,)"),
    ],
)
def test_an_attribute_with_a_bad_value_is_refused(attribute, value, said):
    """Schemes that are no texts would never be found; the plugin is refused with the attribute."""
    odd = type("Odd", (MemoryTransport,), {attribute: value})()
    with pytest.raises(evframe.PluginError, match=re.escape(f"plugin 'odd': {said}")):
        evframe.EventInterface(plugins={"odd": odd})


async def test_a_socket_of_another_scheme_is_refused(memory):
    """A plugin whose socket has the canonical text of another's takes that one's subscriber from nobody."""

    class Odd(MemoryTransport):
        schemes = ("odd",)

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return super().on_subscribe("memory", rest) if scheme == "odd" else None

    async with interface(memory, odd=Odd()) as events:
        events.subscribe_event("E_A", "memory:good")
        with pytest.raises(evframe.PluginError, match="plugin 'odd', hook 'on_subscribe': expected a socket of 'odd'"):
            events.subscribe_event("E_A", "odd:good")
        (outcome,) = await events.raise_event_and_wait("E_A")
        assert outcome.delivered


def fails_with_no_text(batch):
    batch.fail(0, ValueError("odd"))


def is_away_with_no_text(batch):
    raise Unavailable(ValueError("odd"))


@pytest.mark.parametrize("behaviour", [fails_with_no_text, is_away_with_no_text])
async def test_a_reason_is_a_text(memory, behaviour):
    """A reason that is none would be in statistics that cannot be sent; the events are counted as a plugin's error."""
    memory.when("bad", behaviour)
    async with interface(memory) as events:
        events.subscribe_event("E_A", "memory:bad")
        (outcome,) = await events.raise_event_and_wait("E_A")
        assert outcome.reason == "plugin_error"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (PermissionError(13, "Permission denied", "/x"), OSError, "plugin 'starts', hook 'start': Permission denied"),
        (OSError("no device"), OSError, "plugin 'starts', hook 'start': no device"),
        (ConnectionAbortedError("gone"), ConnectionAbortedError, "plugin 'starts', hook 'start': gone"),
        (KeyError("x"), evframe.PluginError, "plugin 'starts', hook 'start': KeyError: 'x'"),
        (TypeError("odd"), evframe.PluginError, "plugin 'starts', hook 'start': TypeError: odd"),
        (evframe.Unavailable("away"), evframe.PluginError, "plugin 'starts', hook 'start': Unavailable: away"),
        (ValueError("odd:\nx"), evframe.ConfigError, r"plugin 'starts', hook 'start': odd:\nx"),
        (evframe.SocketError("a:b", "odd"), evframe.ConfigError, "plugin 'starts', hook 'start': socket 'a:b': odd"),
        (evframe.ConfigError(["one", "two"]), evframe.ConfigError, "plugin 'starts', hook 'start': two"),
        (evframe.PluginError("odd"), evframe.PluginError, "plugin 'starts', hook 'start': odd"),
        (SystemExit(3), evframe.PluginError, "plugin 'starts', hook 'start': expected a result or an Exception"),
    ],
)
async def test_an_error_of_start_names_the_plugin(error, kind, said):
    """The start fails with the plugin, the hook and the cause, and what was started before is stopped."""
    stopped = []

    class First(MemoryTransport):
        @evframe.hookimpl
        def stop(self):
            stopped.append(True)

    class Starts:
        @evframe.hookimpl
        def start(self, context):
            raise error

    with pytest.raises(kind, match=re.escape(said)) as caught:
        async with evframe.EventInterface(plugins={"first": First(), "starts": Starts()}):
            pass
    assert stopped == [True]
    assert getattr(caught.value, "errno", None) == getattr(error, "errno", None)


RAISES = """
import builtins
import evframe

class Plugin:
    @evframe.hookimpl
    def {hook}(self, {argument}):
        raise {error}
"""
GATEWAY = """
[plugins]
disable = {disable}
[plugins.broken]
"""
ERRORS = [
    ("ValueError('odd')", "odd"),
    ("TypeError('odd')", "TypeError: odd"),
    ("KeyError('odd')", "KeyError: 'odd'"),
    ("OSError(13, 'Permission denied')", "Permission denied"),
]


@pytest.fixture
def broken(install, tmp_path):
    """Install the plugin `broken`, whose hook raises an error; returns the configuration's path."""

    def write(hook, error, argument="context"):
        folder = install(broken="raising_plugin:Plugin")
        sys.modules.pop("raising_plugin", None)
        (folder / "raising_plugin.py").write_text(RAISES.format(hook=hook, argument=argument, error=error))
        others = sorted({entry.name for entry in entry_points(group="evframe")} - {"broken"})
        path = tmp_path / "gateway.toml"
        path.write_text(GATEWAY.format(disable=others))
        return str(path)

    yield write
    sys.modules.pop("raising_plugin", None)


@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_the_operator_reads_one_line_at_the_start(broken, error, text):
    """`evframe run` prints one line with the plugin and the hook, whatever the error is."""
    path = broken("start", error)
    folder = str(Path(path).parent / "site")
    command = [sys.executable, "-m", "evframe", "run", "-c", path, "--log-level", "error"]
    with child(*command, env={**os.environ, "PYTHONPATH": folder}, stderr=subprocess.PIPE, text=True) as process:
        _, printed = process.communicate(timeout=60)
    assert process.returncode == (os.EX_CONFIG if error.startswith("ValueError") else 1)
    assert printed.count("\n") == 1
    assert re.search(rf"plugin 'broken', hook 'start': {re.escape(text)}$", printed.rstrip().strip('"'))


@pytest.mark.parametrize(("error", "text"), ERRORS)
@pytest.mark.parametrize(("hook", "argument"), [("start", "context"), ("reconfigure", "options")])
async def test_the_operator_reads_one_line_at_a_reload(install, monkeypatch, hook, argument, error, text):
    """The reload changes nothing, and its problem names the plugin and the hook; a refusal needs no hook."""
    folder = install(broken="raising_plugin:Plugin")
    raises = RAISES.format(hook=hook, argument=argument, error=error)
    options = "\nimport attrs\n@attrs.frozen\nclass Options:\n    size: int = 1\n"
    body = raises.replace("class Plugin:", options + "\nclass Plugin:\n    Options = Options\n")
    body += "    def __init__(self, options):\n        pass\n"
    (folder / "raising_plugin.py").write_text(body)
    monkeypatch.delitem(sys.modules, "raising_plugin", raising=False)
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"broken"})
    unused = [*others, "broken"] if hook == "start" else others
    async with evframe.EventInterface(Config(disable=unused)) as events:
        with pytest.raises(evframe.ConfigError) as caught:
            events.reload(Config(disable=others, plugins={"broken": {"size": 2}}))
        place = "" if hook == "reconfigure" and error.startswith(("ValueError", "OSError")) else f"hook {hook!r}: "
        assert caught.value.problems == [f"plugins.broken: {place}{text}"]


@pytest.mark.parametrize(("error", "text"), ERRORS)
@pytest.mark.parametrize(
    ("hook", "argument"),
    [("loaded", "context"), ("register_events", "collector"), ("management_commands", "commands")],
)
def test_the_operator_reads_one_line_of_check(broken, error, text, hook, argument):
    """`evframe check` loads plugins and starts none: its line has the plugin and the hook that raised the error."""
    printed = CliRunner().invoke(main, ["check", "-c", broken(hook, error, argument)])
    assert printed.exit_code == 1
    [line] = printed.stderr.splitlines()
    assert "plugins.broken: expected a plugin that can be loaded, got " in line
    assert f"hook {hook!r}: " in line
    assert line.endswith(text)


async def test_an_option_that_start_refuses_has_its_path(install, monkeypatch):
    """A sentence that begins with the name of an option gets the option's path."""

    @attrs.frozen
    class Options:
        size: int = 1

    class Starts:
        def __init__(self, options):
            pass

        @evframe.hookimpl
        def start(self, context):
            raise ValueError("size: expected 2, got 1")

    Starts.Options = Options
    monkeypatch.setitem(sys.modules, "raising_plugin", types.SimpleNamespace(Plugin=Starts))
    install(broken="raising_plugin:Plugin")
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"broken"})
    with pytest.raises(evframe.ConfigError, match=r"^plugins.broken.size: expected 2, got 1$"):
        async with evframe.EventInterface(Config(disable=others)):
            pass

"""Loading the configuration again: all of it, or nothing."""

import asyncio
import sys
import types

import attrs
import pytest

import evframe
from evframe.config import parse_config
from evframe.plugins.changes import Changes
from evframe.testing import MemoryTransport, until

PLUGINS = """
import asyncio
import attrs
from evframe import hookimpl
from evframe_options import file_digests
from evframe.plugins.commands import Command
from evframe.testing import MemoryTransport

made = []

@attrs.frozen
class Options:
    size: int = 1

@attrs.frozen
class Named:
    name: str = "a"
    file: str | None = None
    contents: tuple = file_digests("file")

class Transport(MemoryTransport):
    Options = Options
    def __init__(self, options):
        super().__init__()
        self.options = options
        self.stopped = False
        self.started = False
        made.append(self)
    @hookimpl
    def on_subscribe(self, scheme, rest):
        if len(rest) > self.options.size * 5:
            raise ValueError("expected a shorter name")
        return super().on_subscribe(scheme=scheme, rest=rest)
    @hookimpl
    def start(self, context):
        if self.options.size == 13:
            raise OSError("no luck")
        self.started = True
    @hookimpl
    def stop(self):
        self.stopped = True

class Fixed:
    kind = "source"
    Options = Options
    def __init__(self, options):
        self.options = options

class Adapts(Fixed):
    @hookimpl
    def management_commands(self, commands):
        commands.add(Command("adapts:size", ((),), lambda _: self.options.size, "tells the size"))
    @hookimpl
    def reconfigure(self, options):
        if options.size < 0:
            raise ValueError("size: expected 0 or more")
        self.options = options

class Undoes(Fixed):
    Options = Named
    done = []
    @hookimpl
    def reconfigure(self, options):
        if not options.name:
            raise OSError(98, "Address already in use")
        before, self.options = self.options, options
        self.done.append("taken")
        def undo():
            self.options = before
            self.done.append("back")
            raise RuntimeError("of which only the log tells")
        return undo

class Opens:
    has_queues = False

class Strict:
    @hookimpl
    def register_events(self, collector):
        collector.add("E_BOTH", {"n": int})

class Loose(Adapts):
    @hookimpl
    def register_events(self, collector):
        if self.options.size:
            collector.add("E_BOTH", {"n": int}, enforced=False)
"""


@pytest.fixture
def site(install):
    folder = install(
        memory="reloaded_plugins:Transport", adapts="reloaded_plugins:Adapts", fixed="reloaded_plugins:Fixed"
    )
    (folder / "reloaded_plugins.py").write_text(PLUGINS)
    yield folder
    import sys

    sys.modules.pop("reloaded_plugins", None)


def subscriptions(events):
    return {
        (lease.event.name, lease.subscriber.socket.canonical): events.seconds_left(lease)
        for lease in events.subscriptions
    }


OTHERS = "[plugins]\ndisable = [%s]\n"


def config(text, *disabled):
    """Return a configuration without the plugins of this repository, installed or not."""
    from importlib.metadata import entry_points

    own = {"memory", "secret", "adapts", "fixed", "strict", "loose", "opens", "a-undoes", "z-undoes"} - set(disabled)
    names = {entry.name for entry in entry_points(group="evframe")} - own
    return parse_config(OTHERS % ", ".join(f'"{name}"' for name in sorted(names)) + text)


BEFORE = """
[core]
queue_size = 100
[[events]]
name = "E_A"
params = [{ name = "n", type = "int" }]
[[subscriptions]]
event = "E_A"
socket = "memory:stays"
[[subscriptions]]
event = "E_A"
socket = "memory:goes"
[[subscriptions]]
event = "E_A"
socket = "memory:alter"
"""
AFTER = """
[core]
queue_size = 200
default_expire_s = 7
[[events]]
name = "E_A"
[[events]]
name = "E_B"
[[subscriptions]]
event = "E_A"
socket = "memory:stays"
[[subscriptions]]
event = "E_A"
socket = "memory:alter"
expire_s = 60
[[subscriptions]]
event = "E_B"
socket = "memory:new"
"""


@attrs.frozen
class SecretSocket:
    """``secret:name:password``, of which the canonical text has the name alone."""

    name: str
    password: str
    expires = True

    @property
    def canonical(self):
        return f"secret:{self.name}"


class SecretTransport:
    """A transport for the tests: its deliveries wait while `gate` is closed."""

    schemes = ("secret",)

    def __init__(self):
        self.delivered = []
        self.released = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = 0

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return SecretSocket(*f"{rest}:".split(":")[:2]) if scheme == "secret" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        return self._deliver(socket, batch) if isinstance(socket, SecretSocket) else None

    async def _deliver(self, socket, batch):
        self.under_way += 1
        await self.gate.wait()
        self.under_way -= 1
        self.delivered += [(socket.password, event.params) for event in batch.events]

    @evframe.hookimpl
    def unsubscribed(self, socket):
        self.released.append((socket.password, self.under_way))


SECRET = """
[[events]]
name = "E_A"
[[subscriptions]]
event = "E_A"
socket = "secret:peer:%s"
"""


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_reload_compares_secrets(install, monkeypatch, is_busy):
    """A password that has changed in a configured socket takes effect when what is under way is over; none is lost."""
    install(secret="secret_plugin:SecretTransport")
    module = types.ModuleType("secret_plugin")
    module.SecretTransport = SecretTransport
    monkeypatch.setitem(sys.modules, "secret_plugin", module)
    async with evframe.EventInterface(config(SECRET % "old")) as events:
        secret = events.plugin("secret")
        if is_busy:
            secret.gate.clear()
        for number in range(3):
            events.raise_event("E_A", [number])
            await asyncio.sleep(0)
        await until(lambda: secret.under_way or not is_busy)
        changes = events.reload(config(SECRET % "new"))
        assert changes.subscribed == ["E_A secret:peer"]
        assert "new" not in str(changes)
        events.raise_event("E_A", [3])
        secret.gate.set()
        await until(lambda: len(secret.delivered) == 4)
        assert [params for _, params in secret.delivered] == [(0,), (1,), (2,), (3,)]
        assert secret.delivered[-1][0] == "new"
        await until(lambda: secret.released)
        assert secret.released == [("old", 0)]
        assert events.reload(config(SECRET % "new")) == Changes()
        await until(lambda: events.statistics[0].delivered == 4)  # counted after the transport has returned
        assert events.statistics[0].raised == 4


async def test_difference_is_applied(site):
    """What changed is changed and told; run-time leases and untouched ones go on."""
    async with evframe.EventInterface(config(BEFORE)) as events:
        events.subscribe_event("E_A", "memory:guest", 1000)
        changes = events.reload(config(AFTER))

        assert changes.core == ["default_expire_s", "queue_size"]
        assert changes.events == ["E_A", "E_B"]
        assert sorted(changes.subscribed) == ["E_A memory:alter", "E_B memory:new"]
        assert changes.ended == ["E_A memory:goes"]
        assert changes.plugins == []
        left = subscriptions(events)
        assert set(left) == {
            ("E_A", "memory:stays"),
            ("E_A", "memory:guest"),
            ("E_A", "memory:alter"),
            ("E_B", "memory:new"),
        }
        assert left["E_A", "memory:stays"] is None
        assert 59 < left["E_A", "memory:alter"] <= 60
        assert 999 < left["E_A", "memory:guest"] <= 1000
        events.raise_event("E_A", {"anything": "goes now"})
        assert events.core.default_expire_s == 7
        assert events.reload(config(AFTER)) == type(changes)()
        assert events.reload(config(BEFORE)).subscribed == ["E_A memory:goes", "E_A memory:alter"]
        assert subscriptions(events)["E_A", "memory:alter"] is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[core]\nqueue_size = 0\n", "core.queue_size"),
        ('[[subscriptions]]\nevent = "E_A"\nsocket = "nosuch:x"\n', r"subscriptions\[0\].socket"),
        ("[plugins.memory]\nsize = 13\n", "plugins.memory: hook 'start': no luck"),
        ("[plugins.adapts]\nsize = -1\n[plugins.memory]\nsize = 2\n", "plugins.adapts.size: expected 0 or more"),
        (
            "[plugins.fixed]\nsize = 2\n",
            "plugins.fixed: expected the same options as before, .*; got another value of size",
        ),
        ("[plugins.memory]\nsize = 0\n", "subscription of 'memory:guest' to 'E_A': expected a shorter name"),
        ("[plugins.nosuch]\n", "plugins.nosuch"),
    ],
)
async def test_nothing_changes_on_an_error(site, text, problem):
    """One problem, wherever it is, and everything is as it was."""
    async with evframe.EventInterface(config(BEFORE)) as events:
        events.subscribe_event("E_A", "memory:guest", 1000)
        before, plugin = set(subscriptions(events)), events.plugin("memory")
        with pytest.raises(evframe.ConfigError, match=problem):
            events.reload(config('[[events]]\nname = "E_NEW"\n' + text))

        assert set(subscriptions(events)) == before
        assert [event.name for event in events.events] == ["E_A"]
        assert events.core.queue_size == 100
        assert events.plugin("memory") is plugin
        assert events.plugin("adapts").options.size == 1
        report = await events.raise_event_and_wait("E_A", {"n": 1})
        assert all(outcome.delivered for outcome in report)


async def test_plugins_observe_a_reload_that_is_refused(site):
    """The hook has all problems, with their places, of a wrong file and of a refusal; an error in it changes nothing."""
    seen = []

    class Observer:
        @evframe.hookimpl
        def reload_refused(self, problems):
            seen.append(list(problems))
            raise RuntimeError("x")

    async with evframe.EventInterface(config("")) as events:
        events.plugins.register(Observer(), "observer")
        for wanted in (config("[plugins.fixed]\nsize = 2"), attrs.evolve(config(""), problems=["a", "b"])):
            with pytest.raises(evframe.ConfigError) as caught:
                events.reload(wanted)
            assert seen.pop() == list(caught.value.problems)
        assert seen == []


async def test_exchanged_transport_loses_nothing(site):
    """A transport with other options takes over in order, and the old one is released once it is done."""
    async with evframe.EventInterface(config(BEFORE)) as events:
        old = events.plugin("memory")
        import asyncio

        gate = asyncio.get_running_loop().create_future()
        lease = events.subscribe_event("E_A", "memory:guest", 1000)

        async def held(batch):
            await asyncio.shield(gate)
            old.delivered.setdefault("guest", []).extend(batch.events)

        old.when("guest", held)
        events.raise_event("E_A", {"n": 1})
        await until(lambda: lease.subscriber.batches)
        assert events.reload(config("[plugins.memory]\nsize = 2\n" + BEFORE)).plugins == ["memory"]
        new = events.plugin("memory")
        events.raise_event("E_A", {"n": 2})
        await until(lambda: new.delivered.get("stays"))
        assert (new is old, "guest" in new.delivered, old.stopped) == (False, False, False)
        gate.set_result(None)
        await until(lambda: new.delivered.get("guest"))
        assert [event["n"] for event in old.delivered["guest"]] == [1]
        assert [event["n"] for event in new.delivered["guest"]] == [2]
        await until(lambda: old.stopped)
        assert "guest" in old.released
        counters = next(each for each in events.statistics if each.socket == "memory:guest")
        assert (counters.raised, counters.delivered, counters.failed) == (2, 2, 0)


@pytest.mark.parametrize("is_busy", [True, False])
async def test_an_exchanged_transport_is_stopped_when_the_interface_is_left(site, is_busy):
    """A transport that was exchanged is stopped when its last batch is over, although the interface is being left."""
    import reloaded_plugins

    reloaded_plugins.made.clear()
    async with asyncio.timeout(30), evframe.EventInterface(config(BEFORE)) as events:
        transport = events.plugin("memory")
        [subscriber, *_] = events.event("E_A").targets
        gate, when_over = asyncio.Event(), []
        over = asyncio.create_task(gate.wait())
        over.add_done_callback(lambda _: when_over.append(transport.stopped))
        for lease in events.subscriptions:
            transport.when(lease.subscriber.socket.name, lambda batch: asyncio.shield(over))
        if is_busy:
            events.raise_event("E_A", [1])
            await until(lambda: subscriber.batches)
        events.reload(config(BEFORE + "[plugins.memory]\nsize = 2\n"))
        assert events.plugin("memory") is not transport
        asyncio.get_running_loop().call_soon(gate.set)
    assert transport.stopped
    assert not is_busy or when_over == [False]


async def test_second_plugin_refuses(site, install, caplog):
    """What has taken other options before another one refuses takes them back, in the way that it has returned."""
    install(**{"a-undoes": "reloaded_plugins:Undoes", "z-undoes": "reloaded_plugins:Undoes"})
    async with evframe.EventInterface(config("")) as events:
        first, adapts, memory = (events.plugin(name) for name in ("a-undoes", "adapts", "memory"))
        changed = "[plugins.a-undoes]\nname = 'b'\n[plugins.adapts]\nsize = 2\n[plugins.memory]\nsize = 3\n"
        with pytest.raises(evframe.ConfigError) as problem:
            events.reload(config(changed + "[plugins.z-undoes]\nname = ''\n"))
        assert problem.value.problems == ["plugins.z-undoes: Address already in use"]
        assert first.done == ["taken", "back"]
        assert "a change could not be taken back" in caplog.text
        assert (first.options.name, adapts.options.size) == ("a", 1)
        assert events.plugin("memory") is memory
        tried = type(memory).__init__.__globals__["made"][-1]
        await until(lambda: tried.stopped)
        assert tried.started
        assert sorted(events.reload(config(changed)).plugins) == ["a-undoes", "adapts", "memory"]


async def test_contents_of_files(site, install, tmp_path):
    """A plugin hears of other contents of a file that its options name, and of nothing when they are the same."""
    install(**{"a-undoes": "reloaded_plugins:Undoes"})
    file = tmp_path / "token"
    text = config(f"[plugins.a-undoes]\nfile = '{file}'\n")
    async with evframe.EventInterface(text) as events:
        file.write_text("first")
        assert events.reload(text).plugins == ["a-undoes"]
        file.write_text("first")
        assert events.reload(text).plugins == []
        file.write_text("other")
        assert events.reload(text).plugins == ["a-undoes"]
        assert "first" not in repr(events.plugin("a-undoes").options)
        file.unlink()
        assert events.reload(text).plugins == ["a-undoes"]


async def test_plugins_come_and_go(site):
    """A plugin that is enabled is started; one that is disabled ends, with its commands."""
    async with evframe.EventInterface(config("", "adapts")) as events:
        assert events.reload(config("[plugins.adapts]\nsize = 5\n")).plugins == ["adapts"]
        assert events.commands.find("adapts:size").run({}) == 5
        assert events.reload(config("[plugins.adapts]\nsize = 6\n")).plugins == ["adapts"]
        assert events.commands.find("adapts:size").run({}) == 6
        old = events.plugin("memory")
        assert sorted(events.reload(config("", "adapts", "memory")).plugins) == ["adapts", "memory"]
        assert "adapts:size" not in {command.name for command in events.commands}
        await until(lambda: old.stopped)
        with pytest.raises(evframe.SocketError):
            events.subscribe_event((events.register_event("E_X") and "E_X") or "E_X", "memory:a")


async def test_a_plugin_with_queues_stays(site, install):
    """A plugin that says that subscribers have queues of it is removed by no reload, which changes nothing then."""
    install(opens="reloaded_plugins:Opens")
    async with evframe.EventInterface(config("")) as events:
        events.plugin("opens").has_queues = True
        with pytest.raises(
            evframe.ConfigError, match=r"plugins.opens: expected it as before, because subscribers have"
        ):
            events.reload(config("", "opens", "adapts"))
        assert events.commands.find("adapts:size")
        events.plugin("opens").has_queues = False
        assert events.reload(config("", "opens")).plugins == ["opens"]


async def test_event_of_two_sources(site, install):
    """Whether an event is enforced is what it would be with the new configuration from the start."""
    install(strict="reloaded_plugins:Strict", loose="reloaded_plugins:Loose")
    async with evframe.EventInterface(config("", "adapts", "loose")) as events:
        both = events.event("E_BOTH")
        assert both.enforced is not None
        for text, disabled, enforced in (
            ("", (), False),
            ("[plugins.loose]\nsize = 0\n", (), True),
            ("[plugins.loose]\nsize = 2\n", (), False),
            ("", ("loose",), True),
        ):
            events.reload(config(text, "adapts", *disabled))
            assert (both.enforced is not None) is enforced


async def test_disabled_transport_with_a_guest(site):
    """A transport that somebody uses is not taken away."""
    async with evframe.EventInterface(config(BEFORE)) as events:
        events.subscribe_event("E_A", "memory:guest", 1000)
        with pytest.raises(evframe.ConfigError, match="subscription of 'memory:guest'"):
            events.reload(config("", "memory"))
        events.unsubscribe_event("E_A", "memory:guest")
        assert sorted(events.reload(config("", "memory")).ended) == [
            "E_A memory:alter",
            "E_A memory:goes",
            "E_A memory:stays",
        ]


async def test_plugins_that_were_given():
    """An interface with plugin objects of its own cannot load those of a configuration."""
    async with evframe.EventInterface(plugins={"memory": MemoryTransport()}) as events:
        with pytest.raises(evframe.ConfigError, match="expected the installed plugins, which a reload loads"):
            events.reload(parse_config(""))
        with pytest.raises(evframe.ConfigError, match="^config: expected a Config, or an interface made by from_toml"):
            events.reload()

"""Plugins: found one by one, a broken one reported and the others used."""

import pytest

import evframe
from evframe.config import parse_config
from evframe.plugins.commands import Command
from evframe.testing import MemoryTransport


class Declares:
    """A plugin for the tests: a source of one event."""

    @evframe.hookimpl
    def register_events(self, collector):
        collector.add("E_DECLARED", {"ip": str})


def write(folder, name, text):
    (folder / f"{name}.py").write_text("import evframe\n" + text)


BROKEN = {
    "imports": "raise RuntimeError('no library')\n",
    "constructs": "class Plugin:\n    def __init__(self):\n        raise RuntimeError('no device')\n",
    "hook": "class Plugin:\n    @evframe.hookimpl\n    def nosuch_hook(self):\n        pass\n",
    "argument": "class Plugin:\n    @evframe.hookimpl\n    def deliver(self, socket, batch, more):\n        pass\n",
    "coroutine": "class Plugin:\n    @evframe.hookimpl\n    async def deliver(self, socket, batch):\n        pass\n",
    "events": "class Plugin:\n    @evframe.hookimpl\n    def register_events(self, collector):\n        collector.add('')\n",
    "command": (
        "from evframe.plugins.commands import Command\nclass Plugin:\n    @evframe.hookimpl\n"
        "    def management_commands(self, commands):\n        commands.add(Command('a name', ((),), print))\n"
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_plugin_is_reported(install, kind):
    """A plugin that cannot be used is reported, nothing of it stays, and the others work."""
    folder = install(
        memory="evframe.testing:MemoryTransport", broken=f"broken_{kind}:Plugin", declares=f"{__name__}:Declares"
    )
    write(folder, f"broken_{kind}", BROKEN[kind])
    events = evframe.EventInterface()
    status = {status.name: status for status in events.plugin_status}

    assert status["broken"].problem
    assert (status["memory"].problem, status["declares"].problem) == (None, None)
    assert status["declares"].events == ("E_DECLARED",)
    assert (status["memory"].kind, status["declares"].kind) == ("transport", "source")
    assert not events.plugins.has_plugin("broken")
    events.subscribe_event("E_DECLARED", "memory:a")


def test_missing_object(install):
    """An entry point that points nowhere is reported."""
    install(broken="evframe.testing:Nothing")
    status = next(status for status in evframe.EventInterface().plugin_status if status.name == "broken")
    assert "Nothing" in status.problem


def test_disabled(install):
    """A plugin that is disabled is not imported."""
    folder = install(broken="must_not_load:Plugin")
    write(folder, "must_not_load", "raise AssertionError\n")
    events = evframe.EventInterface(parse_config('[plugins]\ndisable = ["broken"]'))
    status = next(status for status in events.plugin_status if status.name == "broken")

    assert status.problem == "disabled in the configuration"


def test_options(install):
    """A plugin's options are its attrs class: unknown keys and wrong types are problems with their path."""
    folder = install(opts="plugin_opts:Plugin")
    write(
        folder,
        "plugin_opts",
        "import attrs\n@attrs.frozen\nclass Options:\n    size_bytes: int = 5\n    names: list[str] = attrs.field(factory=list)\n"
        "class Plugin:\n    Options = Options\n    def __init__(self, options):\n        self.options = options\n",
    )
    events = evframe.EventInterface(parse_config("[plugins.opts]\nsize_bytes = 7"))
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(parse_config('[plugins.opts]\nsize_bytes = "7"\nnames = [1]\ncolour = "red"'))

    assert events.plugin("opts").options.size_bytes == 7
    for path in ("plugins.opts.size_bytes", "plugins.opts.names[0]", "plugins.opts: unknown key 'colour'"):
        assert path in str(caught.value)


async def test_source_plugin(events, memory):
    """A plugin raises its declared events from the start on, and its tasks end with the interface."""
    done = []

    class Source(Declares):
        @evframe.hookimpl
        def start(self, context):
            context.spawn(self.work(context))

        async def work(self, context):
            try:
                context.raise_event("E_DECLARED", {"ip": "192.0.2.1"})
                await __import__("asyncio").Event().wait()
            finally:
                done.append(True)

        @evframe.hookimpl
        def stop(self):
            done.append("stopped")

    events = evframe.EventInterface(plugins={"memory": memory, "source": Source()})
    events.subscribe_event("E_DECLARED", "memory:a")
    async with events:
        await events.wait_for_event("E_DECLARED", timeout_s=10)

    assert done == [True, "stopped"]
    assert memory.delivered["a"][0]["ip"] == "192.0.2.1"


def test_interfaces_share_nothing(install):
    """Several interfaces in a process have their own events and subscribers."""
    install(memory="evframe.testing:MemoryTransport")
    first, second = evframe.EventInterface(), evframe.EventInterface()
    first.register_event("E_A")
    first.subscribe_event("E_A", "memory:a")
    second.register_event("E_B")

    assert second.event("E_B").id == first.event("E_A").id
    assert second.subscriptions == []


def commanding(*names, aliases=()):
    """Return a plugin with commands of these names."""

    class Plugin:
        @evframe.hookimpl
        def management_commands(self, commands):
            for name in names:
                commands.add(Command(name, ((),), lambda _, name=name: name, aliases=aliases))

    return Plugin()


def test_command_without_a_colon():
    """A command whose name has no colon is called by it, also where another command has that as its short name."""
    events = evframe.EventInterface(plugins={"mine": commanding("hello", "other:hello", "other:bye")})
    names = {name: events.commands.find(name).run({}) for name in ("hello", "other:hello", "bye")}
    assert names == {"hello": "hello", "other:hello": "other:hello", "bye": "other:bye"}
    events.commands.remove("hello")
    assert events.commands.find("hello").name == "other:hello"


@pytest.mark.parametrize("name", ["", ":", "x:", ":x", "two words", "a\nb", "\udc80", 7, None])
def test_command_that_cannot_be_called(name):
    """A name that no client can call, of a command or as an alias, is an error that names the plugin."""
    for plugin in (commanding(name), commanding("x:y", aliases=(name,))):
        with pytest.raises(
            evframe.PluginError,
            match=r"plugin 'mine', hook 'management_commands': expected the name of a command, such as .*, got",
        ):
            evframe.EventInterface(plugins={"mine": plugin})


@pytest.mark.parametrize(("name", "aliases"), [("evi:raise", ()), ("x:y", ["evi:raise"]), ("x:y", ["raise_event"])])
def test_command_of_another(name, aliases):
    """A name or an alias that another command has is an error that names the plugin, and changes nothing."""
    with pytest.raises(
        evframe.PluginError,
        match=r"plugin 'mine', hook 'management_commands': expected a new .*, got '(evi:raise|raise_event)'",
    ):
        evframe.EventInterface(
            plugins={
                "evi": commanding("evi:raise", aliases=("raise_event",)),
                "mine": commanding(name, aliases=aliases),
            }
        )


async def test_further_hooks():
    """What a plugin adds is in the way of deliveries until it is taken out, of subscribers that are there too."""
    seen = []

    class Wrapper:
        @evframe.hookimpl(wrapper=True)
        def deliver(self, socket, batch):
            seen.append(socket.canonical)
            return (yield)

    class Adds:
        @evframe.hookimpl
        def loaded(self, context):
            self.context = context

    wrapper, adds = Wrapper(), Adds()
    async with evframe.EventInterface(plugins={"memory": MemoryTransport(), "adds": adds}) as events:
        events.register_event("E_A")
        events.subscribe_event("E_A", "memory:a")
        await events.raise_event_and_wait("E_A")
        assert seen == []
        adds.context.plugins.register(wrapper)
        await events.raise_event_and_wait("E_A")
        assert seen == ["memory:a"]
        adds.context.plugins.unregister(wrapper)
        await events.raise_event_and_wait("E_A")
        assert seen == ["memory:a"]
        assert len(events.plugin("memory").delivered["a"]) == 3

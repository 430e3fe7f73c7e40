"""Composing a configuration: what it makes is parsed and checked without an interface."""

import asyncio
import threading

import attrs
import pytest
from click.testing import CliRunner

import evframe
from evframe.cli import main
from evframe.config import parse_config
from evframe.delivery.scheduler import Scheduler
from evframe.plugins.compose import compose
from evframe.subscriptions.leases import Leases
from evframe.testing import MemoryTransport

SUBSCRIBED = """
[[events]]
name = "E_A"
[[subscriptions]]
event = "E_A"
socket = "memory:a"
expire_s = 60
"""
REFUSED = """
[[events]]
name = ""
[[subscriptions]]
event = "E_A"
socket = "nosuch:a"
"""


@pytest.fixture
def made(install, monkeypatch):
    """Record the names of the classes of the interfaces, schedulers and lease tables that are made."""
    install(memory="evframe.testing:MemoryTransport")
    names = []

    def count(kind):
        make = kind.__init__

        def counted(self, *args, **options):
            names.append(kind.__name__)
            make(self, *args, **options)

        monkeypatch.setattr(kind, "__init__", counted)

    for kind in (evframe.EventInterface, Scheduler, Leases):
        count(kind)
    return names


def test_an_interface_is_counted(made):
    """The count sees an interface, with one scheduler and one lease table."""
    evframe.EventInterface()
    assert made == ["EventInterface", "Scheduler", "Leases"]


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [(SUBSCRIBED, (), 0), (SUBSCRIBED, ("--connect",), 0), (REFUSED, (), 1)],
    ids=["valid", "connect", "refused"],
)
def test_a_check_makes_no_interface(made, tmp_path, text, options, code):
    """`evframe check` parses every socket, and tries every target, without an interface."""
    file = tmp_path / "evframe.toml"
    file.write_text(text)
    assert CliRunner().invoke(main, ["check", "-c", str(file), *options]).exit_code == code
    assert made == []


def test_a_list_of_plugins_makes_no_interface(made):
    """`evframe plugins` loads the plugins without an interface."""
    assert "memory" in CliRunner().invoke(main, ["plugins"]).stdout
    assert made == []


@pytest.mark.parametrize("text", [SUBSCRIBED, REFUSED])
async def test_a_reload_makes_no_second_interface(made, text):
    """A new configuration is checked and applied, or refused, with the one interface that works."""
    async with evframe.EventInterface(parse_config("")) as events:
        made.clear()
        try:
            events.reload(parse_config(text))
        except evframe.ConfigError as error:
            assert len(error.problems) == 2
        assert made == []
        assert [lease.expire_s for lease in events.subscriptions] == ([60] if text == SUBSCRIBED else [])


def test_a_composition_has_the_parsed_sockets(made):
    """The leases of a configuration are parsed once, and changed by nothing but the configuration."""
    composed = compose(parse_config(SUBSCRIBED))
    (lease,) = composed.draft.leases.values()
    assert (lease.event.name, lease.address.socket.canonical, lease.expire_s) == ("E_A", "memory:a", 60)
    assert (composed.problems, lease.event.leases, made) == ([], {}, [])


class Early:
    """A plugin for the tests: uses its context in `loaded`."""

    def __init__(self, use):
        self.use = use

    @evframe.hookimpl
    def loaded(self, context):
        self.use(context)


def test_what_loaded_subscribes_is_subscribed_with_the_interface():
    """Events and leases of the hook `loaded` are there when the interface is."""

    def use(context):
        context.register_event("E_A", {"n": int})
        context.subscribe_event("E_A", "memory:a", 9)
        assert [event.name for event in context.raising.events] == ["E_A"]

    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), "early": Early(use)})
    (lease,) = events.subscriptions
    assert (lease.subscriber.socket.canonical, lease.configured) == ("memory:a", 9)


@pytest.mark.parametrize(
    ("use", "problem"),
    [
        (lambda context: context.raise_event("E_A"), "raise_event: expected a call from the hook 'start' on"),
        (lambda context: context.leases.subscriptions, "subscriptions: expected a call from the hook 'start' on"),
        (lambda context: context.host.reload(), "reload: expected a call from the hook 'start' on"),
        (lambda context: context.subscribe_event("E_A", "memory:a"), "expected a registered event, got 'E_A'"),
    ],
)
def test_what_needs_an_interface_is_an_error_in_loaded(use, problem):
    """The error of a call that is too early names the call."""
    with pytest.raises(evframe.EvframeError, match=problem):
        evframe.EventInterface(plugins={"memory": MemoryTransport(), "early": Early(use)})


@attrs.frozen
class Templated:
    """A socket with a parameter of the event."""

    canonical = "named:{port}"
    parameters = ("port",)


class Names:
    """A transport for the tests, of sockets with a parameter."""

    schemes = ("named",)

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Templated() if scheme == "named" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        return True


def test_a_declaration_has_the_parameters_of_earlier_leases():
    """A configured event lacks no parameter that a lease of the hook `loaded` has in its text."""

    def use(context):
        context.register_event("E_A")
        context.subscribe_event("E_A", "named:{port}")

    text = '[[events]]\nname = "E_A"\nparams = [{ name = "ip", type = "str" }]\n'
    with pytest.raises(evframe.ConfigError, match=r"events\[0\].name: event 'E_A', parameter 'port': expected it in"):
        evframe.EventInterface(parse_config(text), plugins={"names": Names(), "early": Early(use)})


def test_what_a_check_stops_is_not_running():
    """A plugin that is stopped after a check finds no running interface, and that is no error."""
    seen = []
    composed = compose(plugins={"early": Early(lambda context: seen.append(context.host.is_running))})
    composed.loaded["early"].context.connection_closed(("h", 1), ("h", 2), "tcp")
    assert seen == [False]


async def test_composing_starts_nothing():
    """No task and no thread begins while a configuration is composed."""
    tasks, threads = asyncio.all_tasks(), threading.enumerate()
    compose(parse_config(SUBSCRIBED))
    assert (asyncio.all_tasks(), threading.enumerate()) == (tasks, threads)


def test_a_plugin_that_makes_no_socket_is_a_problem_of_the_subscription():
    """A plugin whose `on_subscribe` returns no socket is one problem, with the place of the subscription."""

    class Odd(MemoryTransport):
        schemes = ("odd",)

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return 7 if scheme == "odd" else None

    config = parse_config(SUBSCRIBED.replace("memory:a", "odd:a"))
    said = "subscriptions[0].socket: plugin 'odd', hook 'on_subscribe': expected a canonical text, got 7"
    assert compose(config, plugins={"odd": Odd()}).problems == [said]

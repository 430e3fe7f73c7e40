"""Composing a configuration: what it makes is parsed and checked without an interface."""

import asyncio
import sys
import threading
import types

import attrs
import pytest
from click.testing import CliRunner

import evframe
from evframe.cli import main
from evframe.config import Config, parse_config
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


class Unnamed:
    """A socket whose canonical text is an error."""

    expires = True

    @property
    def canonical(self):
        raise LookupError("no name")


@pytest.mark.parametrize(
    ("socket", "said"),
    [
        ("odd:user:sesame@host", "KeyError: 'odd user:***@host'"),
        ("odd:user:${env:ODD_PASSWORD}@host", "KeyError"),
        ("unnamed:a", "LookupError: no name"),
    ],
)
def test_an_error_of_on_subscribe_is_a_problem_of_the_subscription(socket, said, monkeypatch):
    """Any error of `on_subscribe`, or of its socket's text, is one problem with its place, without the secrets."""
    monkeypatch.setenv("ODD_PASSWORD", "sesame")

    class Odd(MemoryTransport):
        schemes = ("odd", "unnamed")

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            if scheme == "odd":
                raise KeyError(f"odd {rest}")
            return Unnamed()

    composed = compose(parse_config(SUBSCRIBED.replace("memory:a", socket)), plugins={"odd": Odd()})
    assert composed.problems == [f"subscriptions[0].socket: plugin 'odd', hook 'on_subscribe': {said}"]


TWICE = """
[[subscriptions]]
event = "E_A"
socket = "secret:user:{}@host"
[[subscriptions]]
event = "E_A"
socket = "secret:user:{}@host"
[[subscriptions]]
event = "E_B"
socket = "secret:user:{}@host"
"""


@pytest.mark.parametrize(
    ("passwords", "indexes"),
    [
        (("sesame", "sesame", "sesame"), []),
        (("sesame", "sesame", "other"), [2]),
        (("sesame", "other", "sesame"), [1]),
        (("sesame", "${env:ODD_PASSWORD}", "${file:/nothing}"), []),
    ],
)
def test_one_subscriber_with_two_secrets_is_refused(passwords, indexes, monkeypatch):
    """Sockets that differ in a secret alone are one subscriber: the error names both places, and no secret."""
    monkeypatch.setenv("ODD_PASSWORD", "sesame")

    class Secret(MemoryTransport):
        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return WithPassword(*rest.rpartition("@")[::2]) if scheme == "secret" else None

    problems = compose(parse_config(TWICE.format(*passwords)), plugins={"secret": Secret()}).problems
    expected = "expected the secrets of subscriptions[0].socket, which is the same subscriber, got others"
    assert problems[: len(indexes)] == [f"subscriptions[{index}].socket: {expected}" for index in indexes]
    assert not [problem for problem in problems if "sesame" in problem or "other@" in problem]


@attrs.frozen
class WithPassword:
    """A socket whose canonical text leaves out the password."""

    login: str
    host: str
    expires = True

    @property
    def canonical(self):
        return f"secret:{self.login.partition(':')[0]}@{self.host}"


@pytest.mark.parametrize("options", [Early, "no class"], ids=["class", "text"])
def test_options_that_are_no_class_of_attrs_are_an_error_of_the_plugin(install, monkeypatch, options):
    """The plugin is not loaded, and only a configuration with its table has the problem, with the cause."""

    class Plain:
        Options = options

    monkeypatch.setitem(sys.modules, "plain_plugin", types.SimpleNamespace(Plain=Plain))
    install(plain="plain_plugin:Plain")
    said = f"PluginError: expected Options to be a class of attrs, got {options!r}"

    (status,) = [each for each in compose(Config()).statuses if each.name == "plain"]
    assert status.problem == said
    assert compose(Config()).problems == []
    problem = f"plugins.plain: expected a plugin that can be loaded, got {said}"
    assert compose(Config(plugins={"plain": {"size": 2}})).problems == [problem]


def test_an_option_without_a_default_that_is_missing_is_named(install, monkeypatch):
    """The plugin cannot be loaded without the option, and the cause says which one that is."""

    @attrs.frozen
    class Options:
        size: int

    class Sized:
        def __init__(self, options):
            pass

    Sized.Options = Options
    monkeypatch.setitem(sys.modules, "sized_plugin", types.SimpleNamespace(Sized=Sized))
    install(sized="sized_plugin:Sized")
    said = "PluginError: plugins.sized.size: expected a value, got nothing"

    assert compose(Config()).problems == []
    problem = f"plugins.sized: expected a plugin that can be loaded, got {said}"
    assert compose(Config(plugins={"sized": {}})).problems == [problem]


def test_one_plugin_opens_all_queues(install, monkeypatch):
    """Two of them would both count a subscriber as theirs, and one of the queues is used: that is a problem."""

    class Opens:
        opens_all_queues = True

    monkeypatch.setitem(sys.modules, "opening_plugins", types.SimpleNamespace(Opens=Opens))
    install(one="opening_plugins:Opens")
    assert compose(Config()).problems == []
    install(two="opening_plugins:Opens")
    expected = "expected no other plugin that opens the queues of all subscribers, got 'one'"
    assert compose(Config()).problems == [f"plugins.two: {expected}"]

"""References to secrets in configured sockets."""

import asyncio
import logging
import os
import sys
import types

import attrs
import pytest
from evframe_mi.testing import management

import evframe
from evframe.config import parse_config
from evframe.plugins.changes import Changes
from evframe.subscriptions.references import has_reference, renamed
from evframe.testing import until


@attrs.frozen(slots=True)
class VaultSocket:
    """``vault:name:password:port``, of which the canonical text has no password."""

    name: str
    password: str
    port: int
    expires = True

    @property
    def canonical(self):
        return f"vault:{self.name}:{self.port}"


class VaultTransport:
    """A transport whose deliveries wait while `gate` is closed."""

    schemes = ("vault",)

    def __init__(self):
        self.delivered = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = 0

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        if scheme != "vault":
            return None
        parts = rest.split(":")
        if len(parts) != 3 or not parts[2].isdigit():
            raise ValueError(f"expected vault:name:password:port, got {rest!r}")
        return VaultSocket(parts[0], parts[1], int(parts[2]))

    @evframe.hookimpl
    def deliver(self, socket, batch):
        return self._deliver(socket, batch) if isinstance(socket, VaultSocket) else None

    async def _deliver(self, socket, batch):
        self.under_way += 1
        await self.gate.wait()
        self.under_way -= 1
        self.delivered += [(socket.password, *event.params) for event in batch.events]


@pytest.fixture
def vault(install, monkeypatch):
    install(vault="vault_plugin:VaultTransport")
    module = types.ModuleType("vault_plugin")
    module.VaultTransport = VaultTransport
    monkeypatch.setitem(sys.modules, "vault_plugin", module)


def config(socket):
    from importlib.metadata import entry_points

    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"vault", "mi"})
    return parse_config(
        f"plugins.disable = {others}\nmanagement.schemes = ['*']\n[[events]]\nname = 'E'\n[[subscriptions]]\nevent = 'E'\nsocket = '{socket}'\n"
    )


def interface(socket):
    return evframe.EventInterface(config(socket))


def ask(events, method, params):
    import json

    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.loads(management(events).handle(json.dumps(request).encode()))


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
async def test_a_secret_comes_from_a_file(vault, tmp_path, ending):
    """The transport gets the text of the file without the newline at its end; listings show no part of it."""
    path = tmp_path / "password"
    path.write_bytes(b" p{w}$ " + ending.encode())
    async with interface(f"vault:me:${{file:{path}}}:1") as events:
        await events.raise_event_and_wait("E", [1])
        assert events.plugin("vault").delivered == [(" p{w}$ ", 1)]
        assert ask(events, "subscribers_list", ["E"])["result"]["Event"]["Subscribers"][0]["socket"] == "vault:me:1"
        assert [each.socket for each in events.statistics[:1]] == ["vault:me:1"]


async def test_what_a_listing_shows_has_the_references(vault, monkeypatch, caplog):
    """Where the canonical text would have a value, each listing, log line and state shows the reference instead."""
    monkeypatch.setenv("WHO", "swordfish")
    monkeypatch.setenv("PORT", "4711")
    shown = "vault:${env:WHO}:${env:PORT}"
    caplog.set_level(logging.DEBUG)
    async with interface("vault:${env:WHO}:pw:${env:PORT}") as events:
        [lease] = events.subscriptions
        assert (lease.subscriber.socket.name, lease.subscriber.socket.port) == ("swordfish", 4711)
        assert isinstance(lease.subscriber.socket, VaultSocket)
        listed = [
            ask(events, "subscribers_list", [])["result"]["Events"][0]["Subscribers"][0]["socket"],
            ask(events, "evi:statistics", [])["result"]["Subscribers"][0]["socket"],
            lease.subscriber.socket.canonical,
        ]
        assert listed == [shown] * 3
        found = ask(events, "subscribers_list", ["E", shown])["result"]["Event"]["Subscriber"]
        assert found["socket"] == shown
        await events.raise_event_and_wait("E", [1])
    assert "swordfish" not in caplog.text


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_reload_reads_secrets_again(vault, tmp_path, is_busy):
    """A file that has changed is a socket that has changed: the connection is exchanged, and no event is lost."""
    path = tmp_path / "password"
    path.write_text("old\n")
    socket = f"vault:me:${{file:{path}}}:1"
    async with interface(socket) as events:
        plugin = events.plugin("vault")
        if is_busy:
            plugin.gate.clear()
        for number in range(3):
            events.raise_event("E", [number])
        await until(lambda: plugin.under_way or not is_busy)
        assert events.reload(config(socket)) == Changes()
        path.write_text("new\n")
        changes = events.reload(config(socket))
        assert changes == Changes(subscribed=["E vault:me:1"])
        events.raise_event("E", [3])
        plugin.gate.set()
        await until(lambda: len(plugin.delivered) == 4)
    assert plugin.delivered == [("old", 0), ("old", 1), ("old", 2), ("new", 3)] or not is_busy
    assert [number for _, number in plugin.delivered] == [0, 1, 2, 3]
    assert plugin.delivered[-1][0] == "new"


async def test_a_changed_host_keeps_the_subscriber(vault, tmp_path):
    """A reference whose value was part of the canonical text keeps its lease and queue when the value changes."""
    path = tmp_path / "name"
    path.write_text("one")
    socket = f"vault:${{file:{path}}}:pw:1"
    async with interface(socket) as events:
        [before] = events.subscriptions
        path.write_text("two")
        events.reload(config(socket))
        [lease] = events.subscriptions
        assert lease is before
        assert lease.subscriber.socket.name == "two"


async def test_a_reload_with_a_missing_secret_changes_nothing(vault, tmp_path):
    """A file that has gone is an error of the reload, and the subscription stays."""
    path = tmp_path / "password"
    path.write_text("old")
    socket = f"vault:me:${{file:{path}}}:1"
    async with interface(socket) as events:
        path.unlink()
        with pytest.raises(evframe.ConfigError, match=r"subscriptions\[0\].socket: .*expected a file that can be read"):
            events.reload(config(socket))
        await events.raise_event_and_wait("E", [1])
        assert events.plugin("vault").delivered == [("old", 1)]


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_is_no_value(vault, tmp_path, text):
    """A file without a text is an error with the path of its key."""
    path = tmp_path / "password"
    path.write_text(text)
    with pytest.raises(evframe.ConfigError, match=r"subscriptions\[0\].socket: .*, got an empty one"):
        interface(f"vault:me:${{file:{path}}}:1")


@pytest.mark.parametrize(
    ("socket", "problem"),
    [
        ("vault:me:${file:/no/file}:1", "expected a file that can be read in ${file:/no/file}: No such file or dir"),
        ("vault:me:${file:/}:1", "expected a file that can be read in ${file:/}: Is a directory"),
        ("vault:me:${file:no}:1", "expected an absolute path in ${file:no}"),
        ("vault:me:${env:EVFRAME_NONE}:1", "expected the variable of ${env:EVFRAME_NONE} in the environment, got none"),
        ("vault:me:${env:}:1", "expected the variable of ${env:} in the environment, got none"),
        ("vault:me:${env:LINES}:1", "expected one line of text without control characters as the value of ${env:LIN"),
        ("vault:me:${env:EMPTY}:1", "expected a text as the value of ${env:EMPTY}, got an empty one"),
        ("vault:me:${file:/dev/null}:1", "expected a file of at most 65536 bytes in ${file:/dev/null}"),
        ("vault:me:${ENV:WORD}:1", "expected ${file:/path} or ${env:NAME}, or $${ for ${ itself"),
        ("vault:me:${env:WORD:1", "expected ${file:/path} or ${env:NAME}, or $${ for ${ itself"),
        ("vault:me:pw:${env:WORD}", "expected a value that fits its place from ${env:WORD}"),
        ("vault:${env:WORD}:1", "expected vault:name:password:port, got '${env:WORD}:1'"),
        ("none:${env:WORD}:1", "expected a scheme of vault, got 'none', which no loaded plugin has"),
    ],
)
def test_one_error_for_each_secret_that_is_missing(vault, monkeypatch, socket, problem):
    """What is wrong with a reference is one problem, with the path of its key and without any value."""
    monkeypatch.setenv("LINES", "swordfish\nb")
    monkeypatch.setenv("WORD", "swordfish")
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(evframe.ConfigError) as caught:
        interface(socket)
    [text] = caught.value.problems
    assert text.startswith(f"subscriptions[0].socket: socket {socket!r}: ")
    assert problem in text
    assert "swordfish" not in text


async def test_a_doubled_sign_is_a_literal(vault):
    """`$${` stands for `${`."""
    async with interface("vault:me:$${A}$$x:1") as events:
        [lease] = events.subscriptions
        assert lease.subscriber.socket.password == "${A}$$x"


@pytest.mark.parametrize("socket", ["vault:me:${env:HOME}:1", "vault:me:$${file:/x}:1", "vault:${env:HOME}:a:1"])
async def test_run_time_clients_have_no_references(vault, caplog, socket):
    """A client's socket with a reference is a 400 with its reason in the log, and its value is not read."""
    async with interface("vault:me:pw:1") as events:
        assert ask(events, "event_subscribe", ["E", socket])["error"]["message"] == "Bad parameter value"
        [record] = [record for record in caplog.records if record.message == "a subscription was refused"]
        assert "expected ${file:/path} or ${env:NAME} in the configuration alone" in record.problem
        assert os.environ["HOME"] not in record.problem
        with pytest.raises(evframe.SocketError, match="in the configuration alone"):
            events.subscribe_event("E", socket)


async def test_other_texts_of_clients_stay(vault):
    """A dollar sign and braces that are no reference are text like any other, in a client's socket."""
    async with interface("vault:me:pw:1") as events:
        assert ask(events, "event_subscribe", ["E", "vault:${x}$${y}:pw:2"])["result"] == "OK"
        assert events.subscriptions[1].subscriber.socket.canonical == "vault:${x}$${y}:2"


def test_equal_sockets_are_equal_under_another_name():
    """Two sockets with the same values and the same references are equal, others are not."""
    one, two = VaultSocket("a", "p", 1), VaultSocket("b", "p", 1)
    assert renamed(one, "vault:${env:A}") == renamed(one, "vault:${env:A}") != renamed(two, "vault:${env:A}")
    assert renamed(one, one.canonical) is one
    assert not has_reference(None)

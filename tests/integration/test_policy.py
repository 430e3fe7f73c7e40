"""The policy of run-time clients, with the real transports, over each real interface."""

from contextlib import asynccontextmanager

import pytest
from evframe_client import AsyncClient, ManagementError
from evframe_wire.endpoints import endpoint_text
from stream_servers import StreamServer

import evframe
from evframe.config import parse_config
from evframe.testing import FakeNames, until


@asynccontextmanager
async def gateway(tmp_path, management=""):
    """Run a gateway with all three interfaces; yield it and a client of each."""
    configured = tmp_path / "configured"
    text = f"""
[core]
drain_timeout_s = 0.1
[plugins]
disable = ["core-events", "lease-events"]
[plugins.mi-http]
bind = "127.0.0.1:0"
[plugins.mi-datagram]
socket_name = "udp:127.0.0.1:0"
[plugins.mi-fifo]
fifo_name = "{tmp_path}/fifo"
reply_dir = "{tmp_path}"
[[events]]
name = "E_CALL"
[[events]]
name = "E_OTHER"
[[subscriptions]]
event = "E_CALL"
socket = "flatstore:{configured}"
[routes]
E_OTHER = "json:dumps"
[management]
{management}
"""
    async with evframe.EventInterface(parse_config(text)) as events:
        http, datagram = (endpoint_text(events.plugin(name).address) for name in ("mi-http", "mi-datagram"))
        urls = [f"http://{http}/mi", f"udp://{datagram}", f"fifo://{tmp_path}/fifo?reply_dir={tmp_path}"]
        yield events, [AsyncClient(url) for url in urls]


async def refused(client, method, *params):
    with pytest.raises(ManagementError) as caught:
        await client.call(method, list(params))
    return caught.value.code, caught.value.message


async def test_no_client_writes_a_file_or_calls_a_callable(tmp_path):
    """Neither by itself nor as a member, over no interface: 400, and the file stays as it is."""
    victim = tmp_path / ".bashrc"
    victim.write_text("# harmless\n")
    targets = [
        f"flatstore:{victim}",
        f"virtual:PARALLEL udp:127.0.0.1:9 flatstore:{victim}",
        f"virtual:FAILOVER udp:127.0.0.1:9 (PARALLEL udp:127.0.0.1:8 flatstore:{victim})",
        "route:E_OTHER",
    ]
    async with gateway(tmp_path) as (events, clients):
        for client in clients:
            for target in targets:
                assert await refused(client, "event_subscribe", "E_CALL", target) == (400, "Bad parameter value")
            assert await client.call("raise_event", ["E_CALL", ["a line of a client"]]) == "OK"
            assert (
                await client.call("event_subscribe", ["E_CALL", "virtual:FAILOVER udp:127.0.0.1:9 udp:127.0.0.1:8"])
                == "OK"
            )
        assert events.plugin("mi").policies.refused == {"file_roots": len(clients) * 3, "schemes": len(clients)}
    assert victim.read_text() == "# harmless\n"


async def test_the_configuration_keeps_its_subscriptions(tmp_path):
    """A client cannot end what the configuration subscribes, and its refresh gives it no end."""
    socket = f"flatstore:{tmp_path}/configured"
    async with gateway(tmp_path) as (_, clients):
        for client in clients:
            assert await refused(client, "event_subscribe", "E_CALL", socket, 0) == (400, "Bad parameter value")
            assert await client.call("event_subscribe", ["E_CALL", socket, 1]) == "OK"
            listed = await client.call("subscribers_list", ["E_CALL", socket])
            assert listed["Event"]["Subscriber"]["expire"] == "never"


async def test_files_below_a_permitted_folder(tmp_path):
    """A client subscribes files there and nowhere else; the suffix of the transport is part of the name."""
    (tmp_path / "calls").mkdir()
    (tmp_path / "calls" / "out").symlink_to(tmp_path)
    async with gateway(tmp_path, f'file_roots = ["{tmp_path}/calls"]') as (events, clients):
        for number, client in enumerate(clients):
            for path in ("calls/../x", "calls/out/x", "x"):
                code, _ = await refused(client, "event_subscribe", "E_CALL", f"flatstore:{tmp_path}/{path}")
                assert code == 400, path
            assert await client.call("event_subscribe", ["E_CALL", f"flatstore:{tmp_path}/calls/{number}"]) == "OK"
        await events.raise_event_and_wait("E_CALL", ["x"])
    assert sorted(path.name for path in (tmp_path / "calls").iterdir()) == ["0", "1", "2", "out"]


async def test_networks_of_clients(tmp_path):
    """A client's numeric host outside the networks is 400, and its name there is away as forbidden."""
    async with gateway(tmp_path, 'networks = ["192.0.2.0/24"]') as (events, clients):
        for client in clients:
            for target in ("udp:127.0.0.1:9", "tcp:127.1:9", "xmlrpc:0.0.0.0:9:m", "virtual:PARALLEL udp:[::1]:9"):
                code, _ = await refused(client, "event_subscribe", "E_CALL", target)
                assert code == 400, target
        assert await clients[0].call("event_subscribe", ["E_CALL", "tcp:localhost:9"]) == "OK"
        await clients[0].call("raise_event", ["E_CALL", ["x"]])
        with pytest.raises(evframe.Unavailable, match="forbidden"):
            await events.resolver.addresses("localhost", 9)


class Listener(StreamServer):
    """Keeps what has come at an address."""

    def __init__(self, host, port=0):
        super().__init__(self.serve, host, port)
        self.got = b""

    async def serve(self, reader, _):
        while data := await reader.read(65536):
            self.got += data


async def test_a_connection_ends_when_its_interface_may_not_reach_it_any_more():
    """After a reload of one interface's networks, or a move of the name, nothing goes to an address outside."""
    wide = (
        '[core]\ndrain_timeout_s = 0.1\n[[events]]\nname = "E_CALL"\n'
        '[plugins]\n[plugins.mi-http]\nbind = "127.0.0.1:0"\n'
    )
    narrow = f'{wide}networks = ["127.0.0.1/32"]\n'
    with FakeNames({"peer.example": ["127.0.0.2"]}) as names:
        async with (
            Listener("127.0.0.1") as one,
            Listener("127.0.0.2", one.port) as two,
            evframe.EventInterface(parse_config(wide)) as events,
        ):
            events.resolver.lookup = names
            client = AsyncClient(f"http://{endpoint_text(events.plugin('mi-http').address)}/mi")
            await client.call("event_subscribe", ["E_CALL", f"tcp:peer.example:{one.port}", 600])
            events.raise_event("E_CALL", ["one"])
            await until(lambda: b"one" in two.got)
            assert events.reload(parse_config(narrow)).ended == []
            await two.ended()
            events.raise_event("E_CALL", ["two"])
            await until(lambda: events.statistics[0].away == "forbidden")
            names["peer.example"] = ["127.0.0.1"]
            events.resolver.refresh_all()
            await until(lambda: b"two" in one.got)
            names["peer.example"] = ["127.0.0.2"]
            events.resolver.refresh_all()
            await one.ended()
            events.raise_event("E_CALL", ["three"])
            await until(lambda: events.statistics[0].away == "forbidden")
            assert b"two" not in two.got
            assert b"three" not in two.got

"""How connections end: by the client, by the network, by a reload and with the process."""

import asyncio
import json
import signal
import sys

import aiohttp
import pytest
from evframe_mi import Dispatcher
from silent_networks import drop_all
from web_sockets import Gateway, gateway, raw

from evframe.plugin import Command
from evframe.testing import ConfigFile, until

_CLIENT = """
import asyncio, sys, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.ws_connect(sys.argv[1]) as socket:
        await socket.send_str('{"jsonrpc":"2.0","id":1,"method":"event_subscribe","params":["E_A","ws:"]}')
        async for message in socket:
            print(len(message.data), flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_client_that_is_killed_or_stopped(how):
    """The connection of one that is stopped stands; it sends no pong, and its lease ends by the time limit."""
    async with gateway(beat_s=0.05, timeout_s=0.3) as each:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _CLIENT, each.url, stdout=asyncio.subprocess.PIPE
        )
        await process.stdout.readline()
        await process.stdout.readline()
        assert each.events.subscriptions
        process.send_signal(how)
        await until(lambda: not each.events.subscriptions)
        assert not each.plugin.streams
        if how == signal.SIGSTOP:
            process.kill()
        await process.wait()


async def test_a_client_that_answers_pings_stays():
    """A client without events and requests keeps its connection for many times the limit."""
    async with gateway(beat_s=0.01, timeout_s=0.1) as each, each.client() as client:
        reading = asyncio.ensure_future(client.next())
        await asyncio.wait((reading,), timeout=0.5)
        assert not reading.done()
        assert len(each.plugin.streams) == 1
        reading.cancel()


async def test_a_network_that_is_silent():
    """A peer that acknowledges nothing any more has its connection ended."""
    async with gateway(beat_s=0.05, timeout_s=0.2) as each, raw(each) as (_, writer):
        drop_all(writer.get_extra_info("socket"))
        await until(lambda: not each.plugin.streams)


async def test_the_client_may_ping():
    """It gets its pong."""
    async with gateway() as each, each.client(autoping=False) as client:
        await client.socket.ping(b"x")
        message = await client.socket.receive()
        assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"x")


async def test_the_end_of_the_process():
    """What was raised before is sent; then the client learns that the server goes."""
    async with aiohttp.ClientSession() as session:
        async with gateway() as each:
            socket = await session.ws_connect(each.url)
            await socket.receive()
            await socket.send_str('{"jsonrpc":"2.0","id":1,"method":"event_subscribe","params":["E_A","ws:"]}')
            await socket.receive()
            each.events.raise_event("E_A", {"n": 1})
            reading = asyncio.ensure_future(read_all(socket))
        assert await reading == (1, aiohttp.WSCloseCode.GOING_AWAY)


async def read_all(socket):
    """Return how many messages come, and the code at the end."""
    count = 0
    async for _ in socket:
        count += 1
    return count, socket.close_code


async def test_a_reload_ends_the_connections(tmp_path):
    """Clients connect again, by the rules that hold then."""
    config = ConfigFile(tmp_path / "evframe.toml", "mi", "websocket")
    text = '[[events]]\nname = "E_A"\n[management]\nschemes = ["ws"]\n[plugins.websocket]\nbind = "127.0.0.1:0"\n'
    async with config.interface(text) as events:
        each = Gateway(events, events.plugin("websocket"))
        async with each.client() as client:
            assert await client.call("event_subscribe", ["E_A", "ws:"]) == "OK"
            config.write(text + 'token = "right"\ncommands = ["pwd"]\n')
            events.reload()
            assert await client.next() == aiohttp.WSCloseCode.GOING_AWAY
        await until(lambda: not events.subscriptions)
        assert await each.refusal() == 401
        async with each.client(headers={"Authorization": "Bearer right"}) as client:
            assert (await client.call("events_list"))["message"] == "Bad parameter value"
            assert await client.call("pwd")


async def test_a_client_reloads(tmp_path):
    """Neither its own lease nor those of other connections hinder that; each keeps its own."""
    config = ConfigFile(tmp_path / "evframe.toml", "mi", "websocket")
    text = '[[events]]\nname = "E_A"\n[management]\nschemes = ["ws"]\n[plugins.websocket]\nbind = "127.0.0.1:0"\n'
    async with config.interface(text) as events:
        each = Gateway(events, events.plugin("websocket"))
        async with each.client() as first, each.client() as second:
            for client in (first, second):
                assert await client.call("event_subscribe", ["E_A", "ws:"]) == "OK"
            config.write(f"{text}[core]\nqueue_size = 77\n")
            assert await first.call("reload") == {"Changes": {"core": ["queue_size"]}}
            events.raise_event("E_A", {"n": 1})
            assert [await first.numbers(1), await second.numbers(1)] == [[1], [1]]


async def test_a_reload_without_an_address(tmp_path):
    """The connections end, and a reload with an address serves again."""
    config = ConfigFile(tmp_path / "evframe.toml", "mi", "websocket")
    text = '[management]\nschemes = ["ws"]\n[plugins.websocket]\n'
    async with config.interface(text) as events:
        each = Gateway(events, events.plugin("websocket"))
        assert each.plugin.address is None
        config.write(text + 'bind = "127.0.0.1:0"\n')
        events.reload()
        async with each.client() as client:
            assert await client.call("pwd")
            config.write(text)
            events.reload()
            assert await client.next() == aiohttp.WSCloseCode.GOING_AWAY


SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe", "params": ["E_A", "ws:"]}


def masked(message, opcode=0x81):
    """Return the frame of a client."""
    return b"%c\xfe%b\0\0\0\0%b" % (opcode, len(message).to_bytes(2, "big"), message)


@pytest.mark.parametrize("padding", [0, 9000], ids=["small", "large"])
async def test_a_request_that_is_run_when_the_connection_has_ended(padding, monkeypatch):
    """It cannot subscribe the connection: the lease would never end."""
    submit, answers = Dispatcher.submit, []

    def submit_and_note(self, *request, **how):
        answers.append(submit(self, *request, **how))
        return answers[-1]

    monkeypatch.setattr(Dispatcher, "submit", submit_and_note)
    async with gateway() as each, raw(each) as (_, writer):
        message = json.dumps(SUBSCRIBE | {"x": "y" * padding}).encode()
        writer.write(masked(message) * 20)
        await until(lambda: each.plugin.counters["requests"])
        writer.transport.abort()
        await until(lambda: not each.plugin.streams)
        await asyncio.wait(answers)  # some are given up with the connection
        assert not each.events.subscriptions


@pytest.mark.parametrize("frame", [masked(b"", 0x82), masked(b"x" * 101), masked(b"", 0x83)])
async def test_nothing_follows_the_end_that_the_server_sends(frame):
    """No client reads what comes behind the code: an event is not delivered so."""
    async with gateway(max_message_bytes=100) as each, raw(each) as (reader, writer):
        writer.write(masked(json.dumps(SUBSCRIBE).encode()))
        await reader.readuntil(b'"id":1}')
        subscriber = each.events.subscriptions[0].subscriber
        writer.write(frame)
        await reader.readuntil(b"\x88")
        each.events.raise_event("E_A", {"n": 1})
        assert b"E_A" not in await reader.read()
        assert not subscriber.delivered
        assert not each.events.subscriptions


async def test_a_reload_loses_no_event_unnoticed():
    """Events that are raised while the client answers the end of its connection are not delivered."""
    async with gateway() as each, raw(each) as (reader, writer):
        writer.write(masked(json.dumps(SUBSCRIBE).encode()))
        await reader.readuntil(b'"id":1}')
        subscriber = each.events.subscriptions[0].subscriber
        each.plugin.close_all()
        await reader.readuntil(b"\x88\x02\x03\xe9")
        each.events.raise_event("E_A", {"n": 1})
        await reader.read()
        assert not subscriber.delivered


async def test_a_client_whose_requests_take_long_stays():
    """No pong is read while its requests wait for their answers."""
    async with gateway(max_requests=1, beat_s=0.02, timeout_s=0.05) as each, each.client() as client:
        answered = asyncio.get_running_loop().create_future()
        each.plugin.context.commands.add(Command("slow", ((),), lambda _: answered, "takes its time"))
        reading = asyncio.ensure_future(client.next())
        for _ in range(4):
            await client.send("slow")
        await asyncio.wait((reading,), timeout=0.5)
        assert not reading.done()
        answered.set_result("OK")
        assert (await reading)["result"] == "OK"

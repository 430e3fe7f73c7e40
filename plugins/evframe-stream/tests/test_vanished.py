"""A peer that has vanished without a word: the kernel ends the connection in the time of the options."""

import asyncio
import socket
import struct
from ctypes import addressof, create_string_buffer

import pytest
from evframe_stream import Options, StreamTransport

import evframe
from evframe.testing import until

SO_ATTACH_FILTER = 26
DROP_ALL = create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: return 0 bytes of each packet


def vanish(connection):
    """Have the kernel drop every packet for *connection*: neither its data nor its probes are answered."""
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, addressof(DROP_ALL)))


def interface(**options):
    events = evframe.EventInterface(plugins={"stream": StreamTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


async def connect(events, listener):
    """Return the peer's end of a connection that has carried an event, and the transport's side of it."""
    events.subscribe_event("E_TEST", "tcp:127.0.0.1:%d" % listener.getsockname()[1])
    assert (await events.raise_event_and_wait("E_TEST", ["first"]))[0].delivered
    (connection,) = events.plugin("stream").connections
    return (await asyncio.get_running_loop().sock_accept(listener))[0], connection


async def test_event_for_a_vanished_peer_goes_over_another_connection(listener):
    """What a vanished peer does not acknowledge within `user_timeout_ms` is sent over the next connection."""
    async with interface(user_timeout_ms=300) as events:
        peer, _ = await connect(events, listener)
        with peer:
            vanish(peer)
            assert (await events.raise_event_and_wait("E_TEST", ["second"], timeout_s=20))[0].delivered
            again, _ = await asyncio.get_running_loop().sock_accept(listener)
            with again:
                assert b'["second"]' in again.recv(1000)


async def test_idle_connection_to_a_vanished_peer_ends(listener):
    """An idle connection ends when its peer does not answer the probes of `keepalive_s`."""
    async with interface(user_timeout_ms=300, keepalive_s=1, resend_ms=0) as events:
        peer, connection = await connect(events, listener)
        with peer:
            vanish(peer)
            await until(lambda: not connection.is_open, timeout_s=20)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (10_000, 1, 15, 5, 3)),
        ({"user_timeout_ms": 2500, "keepalive_s": 60}, (2500, 1, 60, 20, 3)),
        ({"user_timeout_ms": 2**31 - 1, "keepalive_s": 32_767}, (2**31 - 1, 1, 32_767, 10_922, 3)),
        ({"user_timeout_ms": 0, "keepalive_s": 0}, (0, 0)),
    ],
)
@pytest.mark.parametrize("reliable", [False, True])
async def test_kernel_has_the_times_of_the_options(listener, options, expected, reliable):
    """The socket has the user time-out and the keep-alive of the options; nought leaves them to the kernel."""
    async with interface(reliable_mode=reliable, **options) as events:
        text = "tcp:127.0.0.1:%d" % listener.getsockname()[1]
        events.subscribe_event("E_TEST", text)
        events.raise_event("E_TEST")
        await until(lambda: list(events.plugin("stream").connections))
        (connection,) = events.plugin("stream").connections
        await until(lambda: connection.is_open)
        names = [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        names += [
            (socket.IPPROTO_TCP, name) for name in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
        found = tuple(connection._kernel.getsockopt(*name) for name in names)
        events.unsubscribe_event("E_TEST", text)

    assert found[: len(expected)] == expected

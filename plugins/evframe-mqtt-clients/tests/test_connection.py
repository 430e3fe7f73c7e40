"""Connections to a server of MQTT 5: logins, ends, and packets in whatever pieces they come."""

import asyncio
import itertools
import socket

import mqtt5
import pytest
from evframe_mqtt_clients.connection import Connection, connect
from evframe_mqtt_clients.login import Login
from evframe_mqtt_clients.packets import end_of
from evframe_mqtt_clients.reasons import reason_of_connect, reason_of_disconnect
from hypothesis import given
from hypothesis import strategies as st
from mqtt_server import Server

from evframe import Unavailable
from evframe.plugin import numeric
from evframe.testing import until


class Taker:
    """Keeps what comes."""

    def __init__(self):
        self.codes, self.packets, self.reasons = [], [], []

    def acknowledged(self, found):
        self.codes += found

    def received(self, packet):
        self.packets.append(packet)

    def writable(self):
        pass

    def lost(self, reason):
        self.reasons.append(reason)


class Transport(asyncio.Transport):
    """Keeps what is written, and whether it was aborted."""

    def __init__(self):
        super().__init__({"peername": ("127.0.0.1", 1883)})
        self.written, self.aborted = b"", False

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True


def addresses(port):
    return numeric("127.0.0.1", port)


MESSAGES = [
    mqtt5.PublishPacket("a/b", b"x" * 300, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7),
    mqtt5.PublishPacket("c", b"", user_properties=[("k", "v")]),
]
STREAM = (
    mqtt5.ConnAckPacket(receive_max=3).write()
    + b"\x40\x02\x00\x01\x40\x03\x00\x02\x97"
    + MESSAGES[0].write()
    + mqtt5.PingRespPacket().write()
    + b"\x40\x04\x00\x03\x10\x00"
    + MESSAGES[1].write()
)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_packets_come_in_any_pieces(cuts):
    """The same packets are taken however the stream is cut."""

    async def take():
        taker = Taker()
        connection = Connection(taker)
        connection.connection_made(Transport())
        places = [0, *sorted(cuts), len(STREAM)]
        for start, end in itertools.pairwise(places):
            if end > start:
                connection.data_received(STREAM[start:end])
        return taker

    taker = asyncio.run(take())
    assert taker.codes == [(1, 0), (2, 0x97), (3, 0x10)]
    assert [(packet.topic, packet.payload) for packet in taker.packets] == [("a/b", b"x" * 300), ("c", b"")]
    assert taker.reasons == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(data=st.binary(min_size=1, max_size=60), is_logged_in=st.booleans())
def test_any_bytes_are_packets_or_an_end(data, is_logged_in):
    """Whatever a server sends, it is taken, waited for, or the end of the connection, and never an error."""

    async def take():
        taker = Taker()
        connection, transport = Connection(taker), Transport()
        connection.connection_made(transport)
        connection.data_received((STREAM if is_logged_in else b"") + data)
        return taker, transport

    taker, transport = asyncio.run(take())
    assert len(taker.reasons) == transport.aborted


@given(st.binary(max_size=10))
def test_where_a_packet_ends(data):
    """A length has at most four bytes, and the packet ends behind its last byte."""
    length = next((index for index, byte in enumerate(data[1:5]) if byte < 0x80), None)
    if length is None and len(data) > 4:
        with pytest.raises(ValueError, match="four bytes"):
            end_of(memoryview(data), 0)
        return
    end = end_of(memoryview(data), 0)
    assert end is None or (length is not None and 2 + length <= end <= len(data))


async def test_a_login():
    """A login has what it was given, and the limits of the server are known."""
    async with Server(connack=mqtt5.ConnAckPacket(receive_max=3, server_keep_alive=0)) as server:
        login = Login("h", "me", "user", "s3cret", keepalive_s=7, clean_start=False, session_expiry_s=60, receive_max=5)
        assert "s3cret" not in repr(login)
        connection = await connect(login, addresses(server.port), Taker())
        assert (connection.limits.receive_max, connection.ip) == (3, "127.0.0.1")
        await connection.close()
        (packet,) = server.logins
    assert (packet.client_id, packet.username, packet.password) == ("me", "user", b"s3cret")
    assert (packet.keep_alive, packet.session_expiry_interval, packet.receive_max) == (7, 60, 5)
    assert not packet.clean_start


async def test_the_server_names_the_time_of_pings():
    """The keepalive of the server counts, where it names one."""
    async with Server(connack=mqtt5.ConnAckPacket(server_keep_alive=1)) as server:
        taker = Taker()
        connection = await connect(Login("h", keepalive_s=0), addresses(server.port), taker)
        await until(lambda: server.pings >= 2)
        assert connection.is_open
        server.is_silent = True
        await until(lambda: taker.reasons)
        assert (taker.reasons, connection.is_open) == (["timeout"], False)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN, "closed"),
        (mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER, "taken_over"),
        (mqtt5.DisconnectReasonCode.NOT_AUTHORIZED, "access_refused"),
        (mqtt5.DisconnectReasonCode.QUOTA_EXCEEDED, "quota_exceeded"),
        (mqtt5.DisconnectReasonCode.PACKET_TOO_LARGE, "too_large"),
        (mqtt5.DisconnectReasonCode.KEEP_ALIVE_TIMEOUT, "timeout"),
    ],
)
async def test_ends_by_the_server(code, reason):
    """An end has the word for its code, once; nothing can be written afterwards, and a request fails."""
    async with Server() as server:
        taker = Taker()
        connection = await connect(Login("h"), addresses(server.port), taker)
        (writer,) = server.writers
        writer.write(mqtt5.DisconnectPacket(reason_code=code).write())
        await until(lambda: taker.reasons)
        assert (taker.reasons, connection.is_open) == ([reason], False)
        connection.write(b"x")
        filters = [mqtt5.TopicFilter("a", max_qos=mqtt5.QoS.AT_LEAST_ONCE)]
        with pytest.raises(Unavailable, match=reason):
            await connection.subscribe(mqtt5.SubscribePacket(1, filters), 60)


async def test_an_answer_that_does_not_come():
    """A server that does not answer a subscription in time, or ends meanwhile, is away."""
    async with Server() as server:
        filters = [mqtt5.TopicFilter("a", max_qos=mqtt5.QoS.AT_LEAST_ONCE)]
        connection = await connect(Login("h"), addresses(server.port), Taker())
        with pytest.raises(Unavailable, match="login_timeout"):
            await connection.subscribe(mqtt5.SubscribePacket(1, filters), 0.1)
        connection = await connect(Login("h"), addresses(server.port), Taker())
        waiting = asyncio.ensure_future(connection.subscribe(mqtt5.SubscribePacket(1, filters), 60))
        await asyncio.sleep(0.01)
        server.reset()
        with pytest.raises(Unavailable, match="closed|reset"):
            await waiting


async def test_addresses_are_tried_in_their_order():
    """The first address that accepts a connection is used."""
    async with Server() as server:
        refused = numeric("127.0.0.1", 1)
        connection = await connect(Login("h"), (*refused, *addresses(server.port)), Taker())
        await connection.close()
        with pytest.raises(Unavailable, match="refused"):
            await connect(Login("h"), refused, Taker())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(Unavailable, match="login_timeout"):
            await connect(Login("h", timeout_s=0.1), addresses(silent.getsockname()[1]), Taker())


def test_codes_without_a_word():
    """A code without a separate word is an error of the server, or an end."""
    assert (reason_of_connect(0x88), reason_of_disconnect(0x98)) == ("broker_error", "closed")

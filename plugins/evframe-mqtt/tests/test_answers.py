"""What answers of a server say about events, with a server that gives each of them."""

import asyncio
import json

import mqtt5
import pytest
from evframe_mqtt import MqttTransport, Options
from mqtt_server import Server

import evframe
from evframe.config import Config, CoreOptions
from evframe.plugin import MemoryQueue, Policy
from evframe.testing import until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))


def interface(config=QUICK_END, **options):
    events = evframe.EventInterface(config, plugins={"mqtt": MqttTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


def number_of(packet):
    return json.loads(packet.payload)["params"][0]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0x00, None),
        (0x10, None),  # the topic has no subscriber
        (0x80, "nacked"),
        (0x83, "nacked"),
        (0x87, "access_refused"),
        (0x90, "invalid_topic"),
        (0x95, "too_large"),
        (0x99, "invalid_message"),
        (0xFF, "nacked"),
    ],
)
async def test_codes_of_acknowledgements(code, reason):
    """A message that the server does not take fails alone, with the word for the code."""

    def answer(packet, _):
        return code if number_of(packet) == 2 else 0

    async with Server(answer) as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        for number in range(1, 4):
            events.raise_event("E_TEST", [number])
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.reasons or {}) == (
            (3, {}) if reason is None else (2, {reason: 1})
        )
    assert [number_of(packet) for packet in server.packets] == [1, 2, 3]


async def test_quota():
    """A message beyond a quota waits and is sent again; those that the server took are not."""
    refused = [0x97, 0x97]

    def answer(packet, _):
        return refused.pop() if number_of(packet) == 2 and refused else 0

    async with Server(answer) as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        for number in range(1, 4):
            events.raise_event("E_TEST", [number])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == "quota_exceeded"
        await until(lambda: lease.subscriber.delivered == 3)
        assert lease.subscriber.failed == 0
    assert sorted(number_of(packet) for packet in server.packets) == [1, 2, 2, 2, 3]


@pytest.mark.parametrize(
    ("connack", "reason"),
    [
        (mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.BAD_USER_NAME_OR_PASSWORD), "access_refused"),
        (mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.CLIENT_ID_NOT_VALID), "access_refused"),
        (mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.QUOTA_EXCEEDED), "quota_exceeded"),
        (mqtt5.ConnAckPacket(reason_code=mqtt5.ConnAckReasonCode.SERVER_UNAVAILABLE), "broker_error"),
        (b"\x20\x02\x00\x01", "bad_reply"),  # of a server that has MQTT 3.1.1 alone
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "bad_reply"),
        (b"\x20\xff\xff\xff\xff\x7f", "bad_reply"),
        (b"\x50\x02\x00\x01", "bad_reply"),
        (b"\x40\x01\x00", "bad_reply"),
        (mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN), "closed"),
        (b"\x20", "login_timeout"),
    ],
)
async def test_logins_that_are_refused(connack, reason):
    """While a server does not let us in, events wait, and the reason is that of its answer."""
    async with Server(connack=connack) as server, interface(login_timeout_ms=200) as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == reason
        server.connack = mqtt5.ConnAckPacket()
        await until(lambda: lease.subscriber.delivered)


@pytest.mark.parametrize(
    ("connack", "query"),
    [
        (mqtt5.ConnAckPacket(max_qos=mqtt5.QoS.AT_MOST_ONCE), ""),
        (mqtt5.ConnAckPacket(retain_available=False), "?retain&qos=0"),
    ],
)
async def test_what_a_server_does_not_have(connack, query):
    """Without QoS 1, or without retained messages, events that ask for them fail, and nothing is sent."""
    async with Server(connack=connack) as server, interface() as events:
        events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t{query}")
        assert [each.reason for each in await events.raise_event_and_wait("E_TEST", [1])] == ["not_supported"]
        assert server.packets == []


async def test_the_window_of_the_server():
    """No more messages are under way than the server permits, and none than the option does."""
    for permitted, most, window in ((3, 8192, 3), (65535, 5, 5)):
        held = []
        async with Server(lambda packet, _: held.append(packet), mqtt5.ConnAckPacket(receive_max=permitted)) as server:  # noqa: B023 called within the round
            async with interface(max_in_flight=most) as events:
                lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
                for number in range(20):
                    events.raise_event("E_TEST", [number])
                await until(lambda: len(held) == window)  # noqa: B023 as above
                (writer,) = server.writers
                for number in range(20):
                    await until(lambda: len(held) > number)  # noqa: B023 as above
                    assert len(held) <= number + window
                    writer.write(b"\x40\x02" + held[number].packet_id.to_bytes(2, "big"))
                await until(lambda: lease.subscriber.delivered == 20)  # noqa: B023 as above
        assert [number_of(packet) for packet in held] == [*range(20)]


async def test_no_acknowledgement_in_time():
    """A server that answers pings and acknowledges nothing is given up, and what it has not acknowledged sent again."""

    def answer(packet, connection):
        return None if connection == 1 and number_of(packet) >= 2 else 0

    async with Server(answer) as server, interface(timeout_ms=200) as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        for number in range(1, 5):
            events.raise_event("E_TEST", [number])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == "confirm_timeout"
        await until(lambda: lease.subscriber.delivered == 4)
        # A pause that is longer than the limit is no reason to give up.
        await asyncio.sleep(0.25)
        assert (await events.raise_event_and_wait("E_TEST", [5]))[0].delivered
    assert [number_of(packet) for packet in server.packets] == [1, 2, 3, 4, 2, 3, 4, 5]
    assert len(server.logins) == 2


async def test_an_end_because_of_a_size():
    """When the server ends the connection because a message is too large, the largest one under way fails."""

    def answer(packet, _):
        if len(packet.payload) > 1000:
            return mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.PACKET_TOO_LARGE).write()
        return 0 if server.packets and any(len(each.payload) > 1000 for each in server.packets) else None

    async with Server(answer) as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        for event in ([1], [2, "x" * 2000], [3]):
            events.raise_event("E_TEST", event)
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.reasons) == (2, {"too_large": 1})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "answer",
    [
        b"\x40\x01\x00",
        b"\x30\xff\xff\xff\xff\x7f",
        b"\x60\x02\x00\x01",  # a PUBREL without its flag
        b"\x30\x03\x00\x09a",
        b"\x30\x06\x00\x02\xff\xfe\x00x",  # over which the library panics
    ],
)
async def test_answers_that_are_malformed(answer, capfd):
    """Bytes that are no packet of MQTT 5 end the connection, and what has no acknowledgement is sent again."""

    def acknowledge(packet, connection):
        return answer if connection == 1 else 0

    async with Server(acknowledge) as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == "bad_reply"
        await until(lambda: lease.subscriber.delivered)
    capfd.readouterr()  # the words of the library about its panic


@pytest.mark.parametrize("answer", [b"\x40\x02\xff\xff", b"\x90\x04\xff\xff\x00\x00", b"\xd0\x00"])
async def test_answers_to_nothing(answer):
    """An answer to what was not asked changes nothing."""
    async with Server(lambda packet, _: answer + b"\x40\x02" + packet.packet_id.to_bytes(2, "big")) as server:
        async with interface() as events:
            events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
            for number in range(3):
                assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
        assert len(server.logins) == 1


async def test_packets_in_pieces():
    """An answer may come byte by byte."""

    def answer(packet, _):
        for byte in b"\x40\x02" + packet.packet_id.to_bytes(2, "big"):
            writer.write(bytes([byte]))

    async with Server(connack=b"\x20\x03\x00") as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        events.raise_event("E_TEST", [1])
        await until(lambda: server.logins)
        (writer,) = server.writers
        server.answer = answer
        writer.write(b"\x00")
        await asyncio.sleep(0.01)
        writer.write(b"\x00")
        await until(lambda: lease.subscriber.delivered)


class Kept(MemoryQueue):
    """Says that its events outlive the process, as one on disk does."""

    is_kept = is_own = True

    def ids(self, number):
        return [f"name-{number}"]


class Keeper:
    """Brings the queue of each subscriber."""

    kind = "extension"
    policy_keys = frozenset({"keep"})

    @evframe.hookimpl
    def open_queue(self, room):
        return Kept(room)


async def test_events_that_outlive_the_process():
    """A kept event has a name in its message, and waits until its server is set up to take it."""
    codes = [0x80, 0x87, 0x00]
    plugins = {"mqtt": MqttTransport(), "keeper": Keeper()}
    async with Server(lambda *_: codes.pop(0)) as server, evframe.EventInterface(QUICK_END, plugins=plugins) as events:
        events.register_event("E_TEST")
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t", policy=Policy(keep="disk"))
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.delivered)
        assert lease.subscriber.failed == 0
    assert [number_of(packet) for packet in server.packets] == [1, 1, 1]
    assert all(packet.user_properties[0][0] == "evframe-id" for packet in server.packets)


async def test_after_a_loss_messages_are_sent_alone_at_first():
    """A message over which a server ends the connection is alone on the next one, so that its answer is read."""
    unanswered = []

    def answer(packet, connection):
        if connection == 1:
            return mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.UNSPECIFIED_ERROR).write()
        unanswered.append(packet)
        if len(unanswered) == 1:
            asyncio.get_running_loop().call_later(0.05, acknowledge)
        return None

    def acknowledge():
        groups.append(len(unanswered))
        (writer,) = (each for each in server.writers if not each.is_closing())
        for packet in unanswered:
            code = 0x99 if number_of(packet) == 1 else 0
            writer.write(b"\x40\x03" + packet.packet_id.to_bytes(2, "big") + bytes([code]))
        unanswered.clear()

    groups = []

    async with Server(answer) as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{server.port}/t")
        for number in range(1, 101):
            events.raise_event("E_TEST", [number])
        await until(lambda: not lease.subscriber.depth)
        assert (lease.subscriber.delivered, lease.subscriber.reasons) == (99, {"invalid_message": 1})
    assert [number_of(packet) for packet in server.packets][-100:] == list(range(1, 101))
    assert (groups[:2], sum(groups)) == ([1, 2], 100)

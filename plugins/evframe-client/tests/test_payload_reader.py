"""Payloads that an event loop takes as they arrive."""

import asyncio
import socket

import pytest
from evframe_client.payload_reader import PayloadReader
from evframe_client.receivers import open_receiver
from stream_servers import connection_to

from evframe.testing import until

LARGE = b"x" * 100


class Taken(list):
    """The payloads in their order; large ones take as long as `may_end` is not set."""

    def __init__(self):
        self.may_end = asyncio.Event()
        self.dropped = 0

    def take(self, data, answer):
        self.append(data)
        answer(b"reply to " + data)

    async def take_large(self, data, answer):
        await self.may_end.wait()
        self.append(data)
        answer(b"large")

    def drop(self, total):
        self.dropped = total


@pytest.fixture(params=["udp", "unix"])
async def reading(request):
    """Return what takes payloads, its reader, and a sender."""
    taken, receiver = Taken(), open_receiver(request.param, "127.0.0.1")
    reader = PayloadReader(receiver, taken, len(LARGE) - 1)
    family = socket.AF_UNIX if request.param == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.connect(receiver.address)
        yield taken, reader, sender
    receiver.close()


async def test_payloads_keep_their_order(reading):
    """Payloads are taken as they arrive; those after a large one wait for it, and the loop does not."""
    taken, reader, sender = reading
    reader.begin()
    sender.send(b"1")
    await until(lambda: taken == [b"1"])
    for payload in (LARGE, b"2", b"3"):
        sender.send(payload)
    await until(lambda: reader._large is not None)
    await asyncio.sleep(0)
    assert taken == [b"1"]
    taken.may_end.set()
    await until(lambda: len(taken) == 4)
    sender.send(b"4")
    await until(lambda: len(taken) == 5)
    await reader.end()
    assert taken == [b"1", LARGE, b"2", b"3", b"4"]


async def test_the_end_takes_what_has_arrived(reading):
    """What waits at the end is taken after the large payload that is under way, and nothing after it."""
    taken, reader, sender = reading
    reader.begin()
    for payload in (LARGE, b"1", b"2"):
        sender.send(payload)
    await until(lambda: reader._large is not None)
    sender.send(b"3")
    taken.may_end.set()
    await reader.end()
    await reader.end()
    assert taken == [LARGE, b"1", b"2", b"3"]


async def test_nothing_is_taken_before_the_beginning(reading):
    """A reader that has not begun leaves what waits to others."""
    taken, reader, sender = reading
    sender.send(b"1")
    await reader.end()
    assert taken == []


async def test_replies_go_back_on_the_connection():
    """Each payload of a connection is replied to in order, a large one too."""
    taken, receiver = Taken(), open_receiver("tcp", "127.0.0.1")
    taken.may_end.set()
    reader = PayloadReader(receiver, taken, 20)
    reader.begin()
    async with connection_to(receiver.address) as (stream, writer):
        writer.write(b'{"a":1}["%b"][2]' % LARGE)
        assert await stream.readexactly(33) == b'reply to {"a":1}largereply to [2]'
    await reader.end()
    receiver.close()


async def test_a_flood_of_payloads_leaves_turns_to_others():
    """However many payloads have arrived at once, the loop takes a bounded number of them in a turn, in their order."""
    taken, receiver = Taken(), open_receiver("tcp", "127.0.0.1")
    reader = PayloadReader(receiver, taken, len(LARGE) - 1)
    with socket.create_connection(receiver.address) as sender:
        for number in range(10):
            sender.sendall(b"[%d]" % number * 3000)
        reader.begin()
        most = 0
        while len(taken) < 30_000:
            before = len(taken)
            await asyncio.sleep(0)
            most = max(most, len(taken) - before)
        assert taken == [b"[%d]" % (index // 3000) for index in range(30_000)]
        assert most <= 600
        await reader.end()
    receiver.close()


@pytest.mark.parametrize("broken", [b"1", LARGE], ids=["small", "large"])
async def test_an_error_of_the_taker_is_that_of_one_payload(reading, broken, caplog):
    """What arrives with a payload whose take raises an error, and after it, is taken; the error is logged."""
    taken, reader, sender = reading
    taken.may_end.set()
    append = taken.append

    def fail_or_append(data):
        if data == broken:
            raise LookupError("of the taker")
        append(data)

    taken.append = fail_or_append
    reader.begin()
    for payload in (LARGE, b"1", b"2"):
        sender.send(payload)
    await until(lambda: b"2" in taken)
    sender.send(b"3")
    await until(lambda: b"3" in taken)
    await reader.end()
    assert taken == [payload for payload in (LARGE, b"1", b"2", b"3") if payload != broken]
    assert [record.message for record in caplog.records] == ["a payload could not be taken"]

"""Confirmations in any order, in any pieces of a stream, in ranges and one by one."""

import asyncio
import random

import pamqp.frame
import pytest
from evframe_rabbitmq import RabbitmqTransport
from evframe_rabbitmq.confirmations import ConfirmingProtocol
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.heartbeat import Heartbeat
from stream_servers import StreamServer

import evframe
from evframe.testing import until

pytestmark = pytest.mark.timeout(60)
START = commands.Connection.Start(server_properties={"capabilities": {"publisher_confirms": True, "basic.nack": True}})
HANDSHAKE = {
    commands.Connection.StartOk: commands.Connection.Tune(0, 131072, 0),
    commands.Connection.Open: commands.Connection.OpenOk(),
    commands.Channel.Open: commands.Channel.OpenOk(),
    commands.Confirm.Select: commands.Confirm.SelectOk(),
    commands.Channel.Close: commands.Channel.CloseOk(),
    commands.Connection.Close: commands.Connection.CloseOk(),
}
CONFIRMATION = st.builds(
    lambda kind, tag, multiple: kind(tag, multiple),
    st.sampled_from([commands.Basic.Ack, commands.Basic.Nack]),
    st.integers(1, 40),
    st.booleans(),
)
OTHER = st.one_of(
    st.builds(ContentBody, st.binary(min_size=1, max_size=60)),
    st.builds(lambda _: commands.Basic.Return(312, "NO_ROUTE", "", "key"), st.none()),
    st.just(commands.Channel.FlowOk(active=True)),
)
FRAMES = st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.one_of(CONFIRMATION, CONFIRMATION, OTHER)), max_size=40)


def is_confirmation(frame):
    return isinstance(frame, commands.Basic.Ack | commands.Basic.Nack)


def outcomes(confirmed):
    """Return what 40 messages have when the broker has said *confirmed*: the first word about each stays."""
    found = {}
    for low, high, is_ack in confirmed:
        for tag in range(max(low, 1), high + 1):
            found.setdefault(tag, is_ack)
    return found


def frames_in(data):
    found = []
    while data:
        size, number, frame = pamqp.frame.unmarshal(data)
        found.append((number, frame))
        data = data[size:]
    return found


def lines(frames, confirmed_by):
    """Return for each channel its other frames, and between them what is confirmed in all until then."""
    found = {}
    for number, frame in frames:
        said, line = found.setdefault(number, ([], []))
        if is_confirmation(frame):
            said += confirmed_by(number, frame)
        else:
            line.append((outcomes(said), pamqp.frame.marshal(frame, number)))
    return {number: (outcomes(said), line) for number, (said, line) in found.items()}


def range_of(_, frame):
    return [(0 if frame.multiple else frame.delivery_tag, frame.delivery_tag, isinstance(frame, commands.Basic.Ack))]


@settings(deadline=None)
@given(FRAMES, st.randoms(use_true_random=False))
def test_what_is_left_out_of_a_stream_is_kept_beside_it(frames, chance):
    """However frames come in pieces, each channel has the same confirmations before each other frame as in the stream."""
    # A broker confirms a message once; here a tag is never the last of two runs.
    seen = set()
    frames = [
        (number, frame)
        for number, frame in frames
        if not is_confirmation(frame)
        or ((number, frame.delivery_tag) not in seen and not seen.add((number, frame.delivery_tag)))
    ]
    data = b"".join(pamqp.frame.marshal(frame, number) for number, frame in frames)

    async def read():
        reader = asyncio.StreamReader()
        protocol = ConfirmingProtocol(reader)
        confirmed = {number: protocol.of_channel(number) for number in (1, 2)}  # the third is the library's matter
        position = 0
        while position < len(data):
            end = position + chance.randint(1, 90)
            protocol.data_received(data[position:end])
            position = end
        protocol.eof_received()
        return await reader.read(), confirmed

    read_data, confirmed = asyncio.run(read())
    left = frames_in(read_data)

    def kept(number, frame):
        return confirmed[number].pop(frame.delivery_tag) if number in confirmed else range_of(number, frame)

    assert lines(left, kept) == lines(frames, range_of)
    assert not any(confirmed.values())


async def test_confirmations_that_come_together_are_read_as_one():
    """Of a run of confirmations the library reads the last one; a frame between them begins another run."""
    reader = asyncio.StreamReader()
    protocol = ConfirmingProtocol(reader)
    confirmed = protocol.of_channel(1)
    run = [commands.Basic.Ack(1), commands.Basic.Ack(2), commands.Basic.Nack(3), commands.Basic.Ack(9, multiple=True)]
    frames = [(1, frame) for frame in run]
    frames += [(0, Heartbeat()), (1, commands.Basic.Ack(10)), (1, commands.Basic.Ack(11))]
    protocol.data_received(b"".join(pamqp.frame.marshal(frame, number) for number, frame in frames))
    protocol.eof_received()
    left = frames_in(await reader.read())
    assert [getattr(frame, "delivery_tag", None) for _, frame in left] == [9, None, 11]
    assert confirmed == {9: [(1, 2, True), (3, 3, False), (0, 9, True)], 11: [(10, 11, True)]}


def confirming(answer):
    """Return a server that sends what *answer* returns for each piece of messages, given how many came."""

    async def serve(reader, writer):
        await reader.readexactly(8)
        writer.write(pamqp.frame.marshal(START, 0))
        data, count = b"", 0
        while piece := await reader.read(1 << 20):
            data, before = data + piece, count
            while len(data) >= 7 and len(data) >= (size := 8 + int.from_bytes(data[3:7], "big")):
                _, number, frame = pamqp.frame.unmarshal(data[:size])
                data = data[size:]
                if type(frame) in HANDSHAKE:
                    writer.write(pamqp.frame.marshal(HANDSHAKE[type(frame)], number))
                count += isinstance(frame, ContentBody)
            writer.write(b"".join(pamqp.frame.marshal(frame, 1) for frame in answer(before + 1, count)))

    return StreamServer(serve)


@pytest.mark.parametrize("seed", range(8))
async def test_each_event_gets_the_outcome_that_its_confirmation_says(seed):
    """Messages that are confirmed in any order, one by one and by the range, some with a refusal, each get their own outcome."""
    chance = random.Random(seed)
    said = {}

    def answer(first, last):
        left = [*(tag for tag in range(1, first) if tag not in said), *range(first, last + 1)]
        while left:
            tag, multiple = chance.choice(left), chance.random() < 0.3
            kind = commands.Basic.Nack if chance.random() < 0.2 else commands.Basic.Ack
            for each in [each for each in left if each == tag or (multiple and each < tag)]:
                said[each] = None if kind is commands.Basic.Ack else "nacked"
                left.remove(each)
            yield kind(tag, multiple)

    reasons = {}
    transport = RabbitmqTransport()
    async with confirming(answer) as server, evframe.EventInterface(plugins={"rabbitmq": transport}) as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{server.port}/key")
        for number in range(600):
            events.raise_event_and_tell("E_TEST", [number], lambda found, n=number: reasons.update({n: found[0]}))
            if not chance.randrange(40):
                await asyncio.sleep(0)
        await until(lambda: len(reasons) == 600)
    assert [reasons[number] for number in range(600)] == [said[number + 1] for number in range(600)]

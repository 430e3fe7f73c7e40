"""Streams from their opening to their end."""

import asyncio
import json

from event_streams import Message
from stream_servers import connection_to

from evframe.testing import until


async def test_an_event_has_its_name_an_id_and_its_notification(served):
    """The name is the type, the data are the bytes that other transports send; patterns match later events, too."""
    async with served() as each, each.source("E_A", "E_B_*") as source:
        opened = await source.next()
        each.events.raise_event("E_A", {"n": 1, "text": "a\nb"})
        first = await source.next()
        each.events.register_event("E_B_1")
        each.events.register_event("E_C")
        again = await source.next()
        each.events.raise_event("E_B_1")
        second = await source.next()
        assert [lease.event.name for lease in each.events.subscriptions] == ["E_A", "E_B_1"]
    name = opened.data["socket"]
    assert name.startswith("sse:127.0.0.1:")
    assert opened == Message("stream", {"socket": name, "events": ["E_A"], "complete": True}, opened.id)
    assert first.data == {"jsonrpc": "2.0", "method": "E_A", "params": {"n": 1, "text": "a\nb"}}
    assert again.data["events"] == ["E_A", "E_B_1"]
    assert (second.kind, second.data) == ("E_B_1", {"jsonrpc": "2.0", "method": "E_B_1"})
    assert len({opened.id, first.id, second.id}) == 3


async def test_many_events_that_are_registered_later(served):
    """A client that takes nothing has one list of them waiting, and gets it before an event of them."""
    async with served() as each, each.source("E_*", receive_bytes=2048) as source:
        await source.next()
        (stream,) = each.sse.streams.values()
        for number in range(5):
            each.events.raise_event("E_A", {"n": number, "text": "x" * 60_000})
        await until(lambda: stream.connection.is_waiting)
        for number in range(500):
            each.events.register_event(f"E_LATER_{number}")
            await asyncio.sleep(0)
        assert stream.connection._transport.get_write_buffer_size() < 400_000
        each.events.raise_event("E_LATER_499", {"n": 5})
        kinds = []
        while "E_LATER_499" not in kinds:
            message = await source.next()
            kinds.append(message.kind)
            if message.kind == "stream":
                assert len(message.data["events"]) == 501
        assert kinds == ["E_A"] * 5 + ["stream", "E_LATER_499"]


async def test_the_lease_ends_with_the_connection(served):
    """A client that closes its connection has no lease any more, and is in no listing."""
    async with served() as each:
        async with each.source("E_A") as source:
            await source.next()
            assert len(each.events.subscriptions) == 1
        await until(lambda: not each.events.subscriptions)
        await until(lambda: len(each.events.statistics) == 1)
        assert not each.sse.streams


async def test_a_filter_and_parameters(served):
    """A stream has the events for which an expression is true, with the parameters that it names."""
    async with served() as each, each.source("E_A", where="n > 1", only="n") as source:
        await source.next()
        for number in (1, 2):
            each.events.raise_event("E_A", {"n": number, "secret": "x"})
        assert (await source.next()).data["params"] == {"n": 2}


async def test_requests_that_do_not_fit(served):
    """Each is answered with a status and a sentence, and nothing is subscribed."""
    cases = [
        ((), (), 400, "event: expected 1 to 100 patterns, got 0"),
        (("E_NONE",), (), 404, "event: expected an event that is registered, got 'E_NONE'"),
        (("E_A",), (("name", "1:2"),), 400, "name: expected a letter"),
        (("E_A",), (("where", "n >"),), 400, "where: "),
        (("E_A",), (("nosuch", "1"),), 400, "expected the parameters"),
        (("E_A",), (("where", "x" * 1001),), 400, "expected at most 1000 characters"),
    ]
    async with served() as each:
        for patterns, query, status, text in cases:
            found = await each.status(*patterns, query=query)
            assert found[0] == status, found
            assert found[1].startswith(text), found
        assert (await each.status("E_A", method="POST"))[0] == 405
        assert not each.events.subscriptions
        assert not each.sse.streams
        assert each.sse.counters["refused"] == len(cases)


async def test_streams_are_bounded(served):
    """One more than `max_streams` is refused; one that ends makes room."""
    async with served(max_streams=2) as each:
        async with each.source("E_A") as first, each.source("E_A"):
            await first.next()
            assert (await each.status("E_A"))[0] == 503
        await until(lambda: not each.sse.streams)
        async with each.source("E_A") as source:
            assert (await source.next()).kind == "stream"


async def test_the_policy_decides_about_streams(served):
    """Without the scheme in `[management]` no stream is opened."""
    async with served(schemes=["udp"]) as each:
        status, text = await each.status("E_A")
    assert (status, "expected a permitted scheme of udp" in text) == (403, True)


async def test_others_cannot_subscribe_a_stream(served):
    """A management client gets an error, for a stream that exists and for any other text; this process may."""
    async with served() as each, each.source("E_A") as source:
        name = (await source.next()).data["socket"]
        each.events.register_event("E_B")
        dispatcher = each.events.plugin("mi").dispatcher.of("mi-http")
        for text in (name, "sse:desk-3"):
            request = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe", "params": ["E_B", text]}
            answer = json.loads(dispatcher.handle(json.dumps(request).encode()))
            assert answer["error"]["message"] == "Bad parameter value"
        request = {"jsonrpc": "2.0", "id": 1, "method": "subscribers_list", "params": ["E_A", name]}
        assert json.loads(dispatcher.handle(json.dumps(request).encode()))["result"]["Event"]["Subscriber"]
        each.events.subscribe_event("E_B", name)
        each.events.raise_event("E_B")
        assert (await source.next()).kind == "E_B"


async def test_the_configuration_may_subscribe_a_name(served):
    """Events wait for the client until it connects, and after it has left."""
    config = '[[events]]\nname = "E_B"\n[[subscriptions]]\nevent = "E_B"\nsocket = "sse:desk-3"\n'
    async with served(config, resume_s=0.01) as each:
        for number in range(2):
            each.events.raise_event("E_B", {"n": number})
            async with each.source("E_A", name="desk-3") as source:
                assert {*(await source.next()).data["events"]} == {"E_A", "E_B"}
                assert await source.numbers(1) == [number]
            await until(lambda: len(each.events.subscriptions) == 1)


async def test_events_that_the_configuration_subscribes_wait_for_a_name_without_an_end(served):
    """What came while the client was away stays, also when the time is over and the leases of the client have ended."""
    config = '[[events]]\nname = "E_B"\n[[subscriptions]]\nevent = "E_B"\nsocket = "sse:desk-3"\n'
    async with served(config, resume_s=0.05) as each:
        async with each.source("E_A", name="desk-3") as source:
            await source.next()
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        for number in range(2):
            each.events.raise_event("E_B", {"n": number})
        await until(lambda: len(each.events.subscriptions) == 1)
        async with each.source("E_B", name="desk-3", last=source.last) as source:
            assert (await source.next()).data["complete"] is True
            assert await source.numbers(2) == [0, 1]
        each.events.unsubscribe_event("E_B", "sse:desk-3")
        await until(lambda: not each.sse.streams)


async def test_a_client_that_takes_nothing_holds_up_no_others(served):
    """Its queue is bounded and drops; others get each event, and it learns how many it has lost."""
    async with served("queue_size = 10") as each, each.source("E_A", receive_bytes=2048) as slow:
        name = (await slow.next()).data["socket"]
        async with each.source("E_A") as quick:
            await quick.next()
            for number in range(300):
                each.events.raise_event("E_A", {"n": number, "text": "x" * 8000})
                assert await quick.numbers(1) == [number]
        subscriber = each.events.subscriptions[0].subscriber
        assert subscriber.socket.canonical == name
        assert subscriber.failed > 100
        assert subscriber.depth <= 10 + 256
        lost, got = 0, []
        while not got or got[-1] != 300:
            if not subscriber.depth and subscriber.raised == 300:
                each.events.raise_event("E_A", {"n": 300})  # comes with what was lost
            message = await slow.next()
            if message.kind == "gap":
                lost += message.data["lost"]
            else:
                got.append(message.data["params"]["n"])
        assert (lost, len(got)) == (subscriber.failed, subscriber.delivered)
        assert got == sorted(set(got))


async def test_names_that_are_no_lines_of_text(served):
    """A name cannot begin another field or event, and one that is no UTF-8 ends no stream."""
    names = ["E_\udcff", "E\n\ndata: 1"]
    async with served() as each:
        for name in names:
            each.events.register_event(name)
        async with each.source("E*") as source:
            content = source.response.content
            assert await content.readuntil(b"\n\n") == b"retry: 2000\n\n"
            opened = await content.readuntil(b"\n\n")
            assert b'"events":["E_A","E_\xff","E\\n\\ndata: 1"]' in opened
            for name, line in zip(names, (b"event: E_\xff\nid: ", b"event: E  data: 1\nid: "), strict=True):
                each.events.raise_event(name)
                assert (await content.readuntil(b"\n\n")).startswith(line)


async def test_a_request_with_a_body_is_refused(served):
    """While bytes wait that are not read, the end of a connection would go unnoticed."""
    async with served() as each, connection_to(each.sse.address) as (reader, writer):
        writer.write(b"GET /events?event=E_A HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        assert not each.sse.streams

"""The webhook transport: its requests, signatures that the reference library verifies, and each class of answers."""

import asyncio
import base64
import json
import ssl
import time
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web
from brokers import certificates
from carried import PARENT, ByParameter
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from evframe_cloudevents import CloudEventsPlugin
from evframe_cloudevents import Options as CloudEventsOptions
from evframe_webhook import Options, TargetOptions, WebhookTransport
from standardwebhooks import Webhook, WebhookVerificationError
from stream_servers import StreamServer
from webhook_server import Server

import evframe
from evframe.testing import FakeNames, Peer, TransportContract, until

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()


def interface(*targets, plugins=(), **options):
    transport = WebhookTransport(Options(targets=list(targets), **options))
    events = evframe.EventInterface(plugins={"webhook": transport, **dict(plugins)})
    events.register_event("E_TEST")
    return events


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = (
        "http:",
        "http://",
        "http:127.0.0.1:80/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:70000/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/#a",
        "https://user:s3cret@127.0.0.1/",
    )
    lost_sockets = ("http://127.0.0.1:1/",)

    def transport(self):
        return WebhookTransport()

    @asynccontextmanager
    async def peer(self):
        taken = 0
        async with Server() as server:

            async def receive(count):
                nonlocal taken
                await until(lambda: len(server.requests) >= taken + count)
                got = server.bodies[taken : taken + count]
                taken += count
                return got

            yield Peer(f"http://127.0.0.1:{server.port}/hook", receive)


async def raised(events, *params):
    """Raise an event for each of *params*; return the reasons."""
    reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", each, timeout_s=20) for each in params))
    return [outcome.reason for report in reports for outcome in report]


@pytest.mark.parametrize("secrets", [(SECRET, None), (SECRET, OLD), (OLD, SECRET)])
async def test_signatures_are_verified_by_the_reference_library(secrets):
    """A receiver with one of the two secrets verifies each request; another secret or body is refused."""
    async with Server() as server:
        target = TargetOptions(f"http://127.0.0.1:{server.port}/h*", *secrets)
        async with interface(target) as events:
            events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/hook?a=1")
            assert await raised(events, {"n": 1}, {"n": 2}) == [None, None]
    for request, body in server.requests:
        assert Webhook(SECRET).verify(body, dict(request.headers)) == json.loads(body)
        for secret, text in (("whsec_" + base64.b64encode(b"x" * 32).decode(), body), (SECRET, body + b" ")):
            with pytest.raises(WebhookVerificationError):
                Webhook(secret).verify(text, dict(request.headers))
        assert request.headers["Content-Type"] == "application/json"
        assert request.path_qs == "/hook?a=1"
        assert not {"Accept-Encoding", "Cookie", "traceparent"} & set(request.headers)
    ids = [request.headers["webhook-id"] for request, _ in server.requests]
    assert len(set(ids)) == 2
    assert not any("." in id_ for id_ in ids)


async def test_what_no_target_fits_is_not_signed():
    """Without a target there is no signature; its headers are sent to the sockets that fit alone."""
    async with Server() as server:
        target = TargetOptions(f"http://127.0.0.1:{server.port}/a/*", SECRET, headers={"Authorization": "Bearer t"})
        async with interface(target) as events:
            for path in ("/a/b", "/b/a/b"):
                events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}{path}")
            assert await raised(events, {"n": 1}) == [None, None]
    seen = {request.path: "webhook-signature" in request.headers for request, _ in server.requests}
    assert seen == {"/a/b": True, "/b/a/b": False}
    assert {request.path for request, _ in server.requests if "Authorization" in request.headers} == {"/a/b"}


def read_by_the_sdk(request, body):
    """Return the CloudEvent of a request, as the SDK reads it."""
    return from_http_event(HTTPMessage({key.lower(): text for key, text in request.headers.items()}, body))


@pytest.mark.parametrize("format_", ["cloudevents", "cloudevents-binary"])
@pytest.mark.parametrize("params", [None, {"n": 1, "text": 'é"€'}, [1, "two", None], {"deep": [{"a": [1.5]}]}])
async def test_cloud_events_are_read_by_the_sdk(format_, params):
    """A CloudEvent has the event's name as its type, its parameters as data, and the time of its raise."""
    envelope = CloudEventsPlugin(CloudEventsOptions("urn:gateway:1", "org.example."))
    async with Server() as server, interface(format=format_, plugins={"cloudevents": envelope}) as events:
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        assert await raised(events, params) == [None]
    request, body = server.requests[0]
    event = read_by_the_sdk(request, body)
    assert (event.get_type(), event.get_source()) == ("org.example.E_TEST", "urn:gateway:1")
    assert event.get_specversion() == "1.0"
    assert event.get_id() == request.headers["webhook-id"]
    assert event.get_time().timestamp() == pytest.approx(int(request.headers["webhook-timestamp"]), abs=5)
    is_binary = format_ == "cloudevents-binary"
    assert ("ce-type" in request.headers) == is_binary
    if is_binary and params is None:
        assert (body, request.headers.get("Content-Type")) == (b"", None)
    else:
        assert event.get_data() == params
        assert event.get_datacontenttype() == (None if params is None else "application/json")


async def test_binary_cloud_events_have_any_name():
    """What a header may not have is encoded as the HTTP binding says, and the SDK decodes it."""
    name = 'E_é "50%"'
    async with Server() as server, interface(format="cloudevents-binary") as events:
        events.register_event(name)
        events.trace_by(ByParameter())
        events.subscribe_event(name, f"http://127.0.0.1:{server.port}/")
        params = {"n": 1, "headers": {"traceparent": PARENT, "tracestate": 'a="1 2"'}}
        report = await events.raise_event_and_wait(name, params)
        assert [outcome.reason for outcome in report] == [None]
    event = read_by_the_sdk(*server.requests[0])
    assert event.get_type() == name
    assert (event.get_extension("traceparent"), event.get_extension("tracestate")) == (PARENT, 'a="1 2"')
    assert server.requests[0][0].headers["traceparent"] == PARENT
    assert server.requests[0][0].headers["ce-type"] == "E_%C3%A9%20%2250%25%22"


async def test_batches_of_cloud_events():
    """Events that wait together are one request; a batch that is refused is divided until only the bad one is left."""

    def answer(request, body):
        return web.Response(status=400 if any(each["data"] == [7] for each in json.loads(body)) else 200)

    async with Server(answer) as server, interface(format="cloudevents-batch") as events:
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        reasons = await raised(events, *([number] for number in range(40)))
    assert reasons == ["http_400" if number == 7 else None for number in range(40)]
    assert len(server.requests) < 20
    taken = [[each["data"][0] for each in json.loads(body)] for body in server.bodies]
    delivered = [number for numbers in taken if 7 not in numbers for number in numbers]
    assert delivered == [number for number in range(40) if number != 7]
    assert {request.content_type for request, _ in server.requests} == {"application/cloudevents-batch+json"}
    # The same id stands for the same events alone: a receiver that drops repeated ids drops nothing else.
    assert len({request.headers["webhook-id"] for request, _ in server.requests}) == len(server.requests)
    ids = [each["id"] for body in server.bodies for each in json.loads(body)]
    assert len(set(ids)) == 40
    read = [JSONFormat().read(None, json.dumps(each).encode()) for body in server.bodies for each in json.loads(body)]
    assert {event.get_data()[0] for event in read} == set(range(40))


async def test_a_refused_login_fails_a_batch():
    """A status that does not depend on the events fails all of them with one request."""
    async with Server(lambda request, body: web.Response(status=401)) as server:
        async with interface(format="cloudevents-batch") as events:
            events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
            assert await raised(events, *([number] for number in range(40))) == ["http_401"] * 40
    assert len(server.requests) < 5


async def test_requests_share_a_connection():
    """Requests one after another are made over one connection, whatever the answers."""
    answers = [200, 400, 404, 302] * 3
    peers = set()

    def answer(request, body):
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(status=answers.pop(), body=b"x" * 10_000)

    async with Server(answer) as server, interface() as events:
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        await raised(events, *([number] for number in range(12)))
    assert len(peers) == 1


async def test_bytes_that_are_no_text():
    """A notification has them as they are, a CloudEvent U+FFFD in their place."""
    for format_, text in (("jsonrpc", b"a\xff"), ("cloudevents", "a\ufffd".encode())):
        async with Server() as server, interface(format=format_) as events:
            events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
            assert await raised(events, {"a": b"a\xff"}) == [None]
        assert text in server.bodies[0]


@pytest.mark.parametrize("format_", ["jsonrpc", "cloudevents", "cloudevents-binary"])
async def test_a_request_has_the_headers_of_its_event(format_):
    """The context of a trace is in the headers, and in the extension of CloudEvents."""
    async with Server() as server, interface(format=format_) as events:
        events.trace_by(ByParameter())
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        assert await raised(events, {"n": 1, "headers": {"traceparent": PARENT}}, {"n": 2}) == [None, None]
    assert [request.headers.get("traceparent") for request, _ in server.requests] == [PARENT, None]
    if format_ == "cloudevents":
        assert [json.loads(body).get("traceparent") for body in server.bodies] == [PARENT, None]


@pytest.mark.parametrize("status", [300, 302, 307, 308, 400, 401, 403, 404, 413, 422])
async def test_refused_events_fail(status):
    """What no later attempt would mend is counted with the status; a redirect is never followed."""
    async with Server() as other:

        def answer(request, body):
            headers = {"Location": f"http://127.0.0.1:{other.port}/"}
            return web.Response(status=204 if json.loads(body)["params"] == [2] else status, headers=headers)

        async with Server(answer) as server, interface() as events:
            lease = events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
            assert await raised(events, [1], [2]) == [f"http_{status}", None]
            assert lease.subscriber.reasons == {f"http_{status}": 1}
    assert other.requests == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_events_wait_for_a_server_that_is_not_well(status):
    """What a later attempt may mend is sent again, in order and with the same id."""
    answers = [200, status, status]

    def answer(request, body):
        return web.Response(status=answers.pop() if answers else 200)

    async with Server(answer) as server, interface() as events:
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        assert await raised(events, [1], [2]) == [None, None]
    ids = [request.headers["webhook-id"] for request, _ in server.requests]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert [json.loads(body)["params"][0] for body in server.bodies] == [1, 1, 1, 2]


@pytest.mark.parametrize("after", ["2", "date"])
async def test_a_server_gets_the_pause_that_it_asks_for(after):
    """Nothing is sent before the time of Retry-After."""
    loop, times = asyncio.get_running_loop(), []

    def answer(request, body):
        times.append(loop.time())
        text = formatdate(time.time() + 3, usegmt=True) if after == "date" else after
        return web.Response(status=429, headers={"Retry-After": text}) if len(times) == 1 else web.Response()

    async with Server(answer) as server, interface() as events:
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        assert await raised(events, [1]) == [None]
    assert times[1] - times[0] >= 1.9


async def test_410_ends_the_leases(caplog):
    """All leases of the subscriber end, what waits fails at once, and a new lease begins anew."""
    status = 410
    async with Server(lambda request, body: web.Response(status=status)) as server, interface() as events:
        events.register_event("E_OTHER")
        socket = f"http://127.0.0.1:{server.port}/"
        for name in ("E_TEST", "E_OTHER"):
            events.subscribe_event(name, socket, 60)
        assert await raised(events, *([number] for number in range(200))) == ["http_410"] * 200
        assert len(server.requests) == 1
        assert events.subscriptions == []
        assert "a webhook is gone, and its leases end" in caplog.text
        status = 200
        events.subscribe_event("E_TEST", socket)
        assert await raised(events, [1]) == [None]


async def test_requests_beside_each_other():
    """With more in flight, as many requests are under way, and no more; each event has its outcome."""
    most = now = 0

    async def answer(request, body):
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return web.Response(status=400 if json.loads(body)["params"] == [7] else 200)

    async with Server(answer) as server, interface(max_in_flight=4) as events:
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        reasons = await raised(events, *([number] for number in range(60)))
    assert reasons == ["http_400" if number == 7 else None for number in range(60)]
    assert most == 4


async def test_an_answer_without_end_is_bounded():
    """The status counts; of a body that never ends no more is read than the time and the size permit."""

    async def answer(request, body):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        except ConnectionError:
            return response

    async with Server(answer) as server, interface(timeout_ms=2000) as events:
        events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        async with asyncio.timeout(10):
            assert await raised(events, [1], [2]) == [None, None]


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [(b"SSH-2.0-x\r\n", "bad_reply"), (b"", "closed"), (b"HTTP/1.1 200 OK\r\nA" * 9, "bad_reply")],
)
async def test_what_is_no_http(garbage, reason):
    """The events wait for a web server."""

    async def serve(reader, writer):
        await reader.read(10)
        writer.write(garbage)
        await writer.drain()

    async with StreamServer(serve) as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away)
        assert lease.subscriber.away == reason
        events.unsubscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize("allowed", ["gateway.example", "*", "other.example", None])
async def test_the_handshake_of_cloud_events(allowed):
    """Nothing is sent to a server before it has permitted the origin; afterwards it is not asked again."""

    def answer(request, body):
        if request.method != "OPTIONS":
            return web.Response()
        assert request.headers["WebHook-Request-Origin"] == "gateway.example"
        return web.Response(headers={} if allowed is None else {"WebHook-Allowed-Origin": allowed})

    target = TargetOptions("*", origin="gateway.example")
    async with Server(answer) as server, interface(target) as events:
        lease = events.subscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")
        if allowed in {"gateway.example", "*"}:
            assert await raised(events, [1], [2]) == [None, None]
            assert [request.method for request, _ in server.requests] == ["OPTIONS", "POST", "POST"]
        else:
            events.raise_event("E_TEST", [1])
            await until(lambda: lease.subscriber.away)
            assert lease.subscriber.away == "access_refused"
            assert {request.method for request, _ in server.requests} == {"OPTIONS"}
            events.unsubscribe_event("E_TEST", f"http://127.0.0.1:{server.port}/")


async def test_tls(tmp_path):
    """Events go over TLS to a server whose certificate is trusted, and to no other."""
    certificate = certificates.make(tmp_path, subject="hooks.example")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with FakeNames({"hooks.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]}) as names:
        async with Server(tls=context) as server, interface(ca_file=str(certificate)) as events:
            events.resolver.lookup = names
            events.subscribe_event("E_TEST", f"https://hooks.example:{server.port}/")
            assert await raised(events, [1]) == [None]
            lease = events.subscribe_event("E_TEST", f"https://other.example:{server.port}/")
            events.raise_event("E_TEST", [2])
            await until(lambda: lease.subscriber.away)
            assert lease.subscriber.away == "tls"
            probed = lease.subscriber.transport.deliver(lease.subscriber.socket, evframe.Batch(()))
            with pytest.raises(evframe.Unavailable, match="tls"):
                await probed
            events.unsubscribe_event("E_TEST", f"https://other.example:{server.port}/")
    assert {json.loads(body)["params"][0] for body in server.bodies} <= {1, 2}

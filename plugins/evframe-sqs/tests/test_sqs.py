"""The messages that are in queues afterwards, and what each class of errors means for the events."""

import asyncio
import json
import socket
from itertools import count

import pytest
from carried import PARENT, ByParameter
from evframe_aws_clients import Verdict
from evframe_mi import ManagementOptions
from evframe_mi.policy import Policy
from evframe_sqs import Options, SqsTransport, parse
from evframe_sqs.answers import ERRORS
from sqs_front import LOST, Front, error
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions
from evframe.exceptions import ForbiddenError, SocketError
from evframe.testing import until

QUEUES = count()
KEYS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "s3cret-key", "region": "us-east-1"}
QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.01))


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"sqs": SqsTransport(Options(**{**KEYS, **options}))})
    events.register_event("E_TEST")
    events.register_event("E é")
    return events


async def queue(moto, ending="", **attributes):
    return await asyncio.to_thread(moto.make_queue, f"queue-{next(QUEUES)}{ending}", **attributes)


async def taken(moto, url):
    return await asyncio.to_thread(moto.take_all, url)


async def reasons(events, *params, event="E_TEST"):
    """Raise an event for each of *params*; return the reasons."""
    reports = await asyncio.gather(*(events.raise_event_and_wait(event, each, timeout_s=20) for each in params))
    return [outcome.reason for report in reports for outcome in report]


def behind(front, url):
    """Return the URL of a queue by way of a front."""
    return f"sqs:http://127.0.0.1:{front.port}/{url.partition('://')[2].partition('/')[2]}"


async def test_messages(moto):
    """A message has the notification, also with characters that no queue takes, and the name of the event."""
    url = await queue(moto)
    texts = ["plain", 'Größe "中文" 😀', "\x00\x1f\x7f\u2028\ufffe\uffff", "x" * 10_000]
    async with interface() as events:
        for event in ("E_TEST", "E é"):
            events.subscribe_event(event, f"sqs:{url}")
        assert await reasons(events, *({"text": text} for text in texts)) == [None] * 4
        assert await reasons(events, {"text": b"a\xff"}, event="E é") == [None]
        assert await reasons(events, None) == [None]
    messages = await taken(moto, url)
    bodies = [json.loads(each["Body"]) for each in messages]
    assert [each.get("params") for each in bodies] == [*({"text": text} for text in texts), {"text": "a\ufffd"}, None]
    names = [each["MessageAttributes"]["event"]["StringValue"] for each in messages]
    assert names == [*["E_TEST"] * 4, "E é", "E_TEST"]


async def test_first_parameter(moto):
    """With the option, a message is what OpenSIPS intends to send; an event without such a text fails."""
    url = await queue(moto)
    async with interface(body="parameter") as events:
        events.subscribe_event("E_TEST", f"sqs:{url}")
        params = (['a"b', "c"], [42, "x"], {"s": "hello"}, None, [""], [[1]], ["\x00"])
        found = await reasons(events, *params)
    assert found == [None, None, None, "missing_parameter", "unfit_parameter", "unfit_parameter", None]
    assert [each["Body"] for each in await taken(moto, url)] == ['a"b', "42", "hello", "\ufffd"]


async def test_batches(moto):
    """Events that wait together are sent by ten, and by what a request may have."""
    url = await queue(moto)
    async with Front(moto.port, lambda *_: None) as front, interface(max_bytes=20_000) as events:
        events.subscribe_event("E_TEST", behind(front, url))
        sizes = [10] * 15 + [9000] * 4 + [30_000] + [10] * 4
        found = await reasons(events, *(["x" * size] for size in sizes))
    assert found == ["too_large" if size > 20_000 else None for size in sizes]
    counts = [len(arguments["Entries"]) for _, arguments in front.requests]
    assert sum(counts) == 23
    assert max(counts) <= 10
    assert len(counts) <= 8
    large = [sum(len(entry["MessageBody"]) > 8000 for entry in arguments["Entries"]) for _, arguments in front.requests]
    assert max(large) <= 2
    got = [len(json.loads(each["Body"])["params"][0]) for each in await taken(moto, url)]
    assert got == [size for size in sizes if size < 20_000]


async def test_several_requests_at_once(moto):
    """With the option, requests are under way together, and each event arrives once."""
    url = await queue(moto)
    async with interface(max_in_flight=4) as events:
        events.subscribe_event("E_TEST", f"sqs:{url}")
        assert await reasons(events, *([number] for number in range(80))) == [None] * 80
    got = [json.loads(each["Body"])["params"][0] for each in await taken(moto, url)]
    assert sorted(got) == list(range(80))


@pytest.mark.parametrize("group", [None, "another"])
async def test_fifo(moto, group, monkeypatch):
    """Messages of a FIFO queue have a group, and an id by which the queue drops what comes twice.

    Equal events of the same time, on a machine with a coarse clock, are several.
    """
    monkeypatch.setattr("evframe.subscriptions.raising.monotonic", lambda: 1.0)
    url = await queue(moto, ".fifo")
    lost = False

    def answer(action, arguments, failed):
        nonlocal lost
        if len(arguments["Entries"]) > 1 and not lost:
            lost = True
            return LOST
        return None

    async with Front(moto.port, answer) as front, interface(message_group=group, max_in_flight=8) as events:
        events.subscribe_event("E_TEST", behind(front, url))
        assert await reasons(events, *([number] for number in range(30))) == [None] * 30
        assert await reasons(events, [7], [7]) == [None, None]
    assert lost
    messages = await taken(moto, url)
    assert [json.loads(each["Body"])["params"][0] for each in messages] == [*range(30), 7, 7]
    assert {each["Attributes"]["MessageGroupId"] for each in messages} == {group or url.rpartition("/")[2]}
    assert len({each["Attributes"]["MessageDeduplicationId"] for each in messages}) == 32


async def test_headers_of_an_event(moto):
    """The context of a trace is an attribute."""
    url = await queue(moto)
    async with interface() as events:
        events.trace_by(ByParameter())
        events.subscribe_event("E_TEST", f"sqs:{url}")
        assert await reasons(events, {"n": 1, "headers": {"traceparent": PARENT}}, {"n": 2}) == [None, None]
    found = [set(each["MessageAttributes"]) for each in await taken(moto, url)]
    assert found == [{"event", "traceparent"}, {"event"}]


@pytest.mark.parametrize(
    ("answers", "away"),
    [
        ([error("RequestThrottled")], "throttled"),
        ([error("ThrottlingException", 400)], "throttled"),
        ([error("Whatever", 429)], "throttled"),
        ([error("InternalFailure", 500)], "http_500"),
        ([error("ServiceUnavailable", 503)], "http_503"),
        ([error("ExpiredTokenException")], "access_refused"),
        ([(200, {"Successful": []}, {})], "bad_reply"),
        ([(200, ["no"], {})], "bad_reply"),
    ],
)
async def test_what_may_be_taken_later(moto, answers, away):
    """The subscriber is away for the reason, and the events arrive, each once and in order."""
    url = await queue(moto)
    seen = []

    async with Front(moto.port, lambda *_: answers.pop() if answers else None) as front, interface() as events:
        events.subscribe_event("E_TEST", behind(front, url))
        done = asyncio.ensure_future(reasons(events, *([number] for number in range(12))))
        await until(lambda: seen.append(events.statistics[0].away) or seen[-1] or done.done())
        assert await done == [None] * 12
    assert away in seen
    got = [json.loads(each["Body"])["params"][0] for each in await taken(moto, url)]
    assert got == list(range(12))


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("QueueDoesNotExist", 400, "not_found"),
        ("AccessDeniedException", 403, "access_refused"),
        ("InvalidClientTokenId", 403, "access_refused"),
        ("KmsAccessDenied", 400, "access_refused"),
        ("InvalidMessageContents", 400, "invalid_message"),
        ("BatchRequestTooLong", 400, "too_large"),
    ],
)
async def test_what_is_refused_fails(moto, code, status, reason):
    """An error that no later attempt mends fails the events."""
    async with Front(moto.port, lambda *_: error(code, status)) as front, interface() as events:
        events.subscribe_event("E_TEST", behind(front, "http://h/1/q"))
        assert await reasons(events, *([number] for number in range(12))) == [reason] * 12


async def test_a_queue_that_is_not_there(moto):
    """The name of no queue is one clear reason."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"sqs:http://127.0.0.1:{moto.port}/123456789012/nowhere")
        assert await reasons(events, [1]) == ["not_found"]


async def test_a_request_is_divided(moto):
    """Of a request that is refused, only the event fails that the queue refuses."""
    url = await queue(moto)

    def answer(action, arguments, failed):
        bad = any("[7]" in entry["MessageBody"] for entry in arguments["Entries"])
        return error("InvalidMessageContents") if bad else None

    async with Front(moto.port, answer) as front, interface() as events:
        events.subscribe_event("E_TEST", behind(front, url))
        found = await reasons(events, *([number] for number in range(20)))
    assert found == ["invalid_message" if number == 7 else None for number in range(20)]
    got = [json.loads(each["Body"])["params"][0] for each in await taken(moto, url)]
    assert got == [number for number in range(20) if number != 7]
    assert len(front.requests) < 12


async def test_entries_that_fail(moto):
    """Of an answer with failed entries, those of the sender fail, and the others are tried again."""
    url = await queue(moto)
    faults = [
        {"SenderFault": True, "Code": "InvalidMessageContents"},
        {"SenderFault": False, "Code": "InternalError"},
        {"SenderFault": True, "Code": "RequestThrottled"},
    ]

    def answer(action, arguments, failed):
        entries = arguments["Entries"]
        if len(entries) > 3 and faults:
            for _ in range(3):
                failed.append({"Id": entries.pop(1)["Id"], "Message": "", **faults.pop(0)})

    async with Front(moto.port, answer) as front, interface() as events:
        events.subscribe_event("E_TEST", behind(front, url))
        await reasons(events, [100])
        found = await reasons(events, *([number] for number in range(10)))
    assert found.count("invalid_message") == 1
    assert found.count(None) == 9
    got = [json.loads(each["Body"])["params"][0] for each in await taken(moto, url)]
    assert sorted(got) == [number for number in range(10) if found[number] is None] + [100]


@pytest.mark.parametrize(
    ("code", "status", "is_sender", "verdict"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", 400, True, (Verdict.MENDABLE, "not_found")),
        ("com.amazonaws.sqs#QueueDoesNotExist", 400, True, (Verdict.MENDABLE, "not_found")),
        ("SignatureDoesNotMatch", 403, True, (Verdict.MENDABLE, "access_refused")),
        ("InternalError", 400, False, (Verdict.LATER, "service_error")),
        ("KmsThrottled", 400, True, (Verdict.LATER, "throttled")),
        ("AWS.SimpleQueueService.BatchRequestTooLong", 400, True, (Verdict.REJECTED, "too_large")),
        ("", 413, True, (Verdict.REJECTED, "too_large")),
        ("", 400, True, (Verdict.REJECTED, "invalid_message")),
    ],
)
def test_verdicts(code, status, is_sender, verdict):
    """Codes are known in both protocols of the service."""
    assert ERRORS.verdict_on(code, status, is_sender=is_sender) == verdict


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.us-west-2.amazonaws.com/123456789012/Queue1", "us-west-2"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q.fifo", "cn-north-1"),
        ("https://eu-central-1.queue.amazonaws.com/1/q", "eu-central-1"),
        ("https://vpce-1a-2b.sqs.eu-west-1.vpce.amazonaws.com/1/q", "eu-west-1"),
        ("https://sqs.ap-south-1.api.aws/1/q", "ap-south-1"),
        ("http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/q", "us-east-1"),
        ("http://127.0.0.1:9324/000000000000/q", None),
        ("https://queue.example/q", None),
    ],
)
def test_regions(url, region):
    """The region is in the host, where it names one; the URL is the canonical text."""
    socket = parse(url)
    assert socket.region == region
    assert socket.canonical == f"sqs:{url}"
    assert socket.is_fifo == url.endswith(".fifo")


SERVICES = ["sqs.eu-west-1.amazonaws.com", "sqs-fips.us-east-1.api.aws", "eu-west-1.queue.amazonaws.com"]
SERVICES += ["vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com", "sqs.cn-north-1.amazonaws.com.cn"]
OTHERS = ["evil.example", "sqs.eu-west-1.amazonaws.com.evil.example", "sqs.eu-west-1.amazonaws.com:8443", "127.0.0.1"]
OTHERS += ["sqs.x.eu-west-1.elb.amazonaws.com", "ec2-1-2-3-4.compute.amazonaws.com", "evil-sqs.eu-west-1.amazonaws.com"]


def test_clients_send_the_credentials_to_no_other_host():
    """Requests to the host of a run-time client have the credentials' name and session token: that is one of SQS."""
    policy = Policy("test", ManagementOptions(schemes=["sqs"]))
    own = "https://localstack.example:4566/1/calls"
    transport = SqsTransport(Options(**KEYS, queue_url=[f"[calls]{own}"]))
    for rest in (*(f"https://{host}/1/calls" for host in SERVICES), own, "calls"):
        policy.check_socket(transport.on_subscribe("sqs", rest))
    for rest in (f"http://{SERVICES[0]}/1/calls", *(f"https://{host}/1/calls" for host in OTHERS), own + "2"):
        with pytest.raises(ForbiddenError, match="a host that is not of SQS"):
            policy.check_socket(transport.on_subscribe("sqs", rest))
    elsewhere = SqsTransport(Options(**KEYS, endpoint_url="https://proxy.example"))
    policy.check_socket(elsewhere.on_subscribe("sqs", "https://evil.example/1/calls"))
    assert elsewhere.on_subscribe("sqs", "https://evil.example/1/calls").endpoints == (("proxy.example", 443),)


def test_equal_urls():
    """The host is in small letters, and has no port that its scheme has anyhow."""
    assert parse("https://SQS.us-west-2.amazonaws.com:443/1/Q") == parse("https://sqs.us-west-2.amazonaws.com/1/Q")
    assert parse("http://[::1]:9324/1/q").endpoints == (("::1", 9324),)


def test_a_password_in_a_url_is_not_shown():
    """A URL has no user; the error has no password."""
    events = interface()
    for text in ("sqs:https://u:s3cret@host/1/q", "sqs:https://u:s3cret/x@host/1/q"):
        with pytest.raises(SocketError, match="expected") as caught:
            events.subscribe_event("E_TEST", text)
        assert "s3cret" not in str(caught.value)


async def test_names_of_queues(moto):
    """A socket may be the name of a queue_url, and is the same subscriber as its URL."""
    url = await queue(moto)
    async with interface(queue_url=[f"[calls]{url}"]) as events:
        lease = events.subscribe_event("E_TEST", "sqs:calls")
        assert events.subscribe_event("E_TEST", f"sqs:{url}") is lease
        assert await reasons(events, [1]) == [None]
    assert len(await taken(moto, url)) == 1


async def test_another_endpoint(moto):
    """With the option, requests go elsewhere, and are signed for the region of the queue."""

    def answer(action, arguments, failed):
        return 200, {"Successful": [{"Id": entry["Id"]} for entry in arguments["Entries"]]}, {}

    async with Front(moto.port, answer) as front:
        endpoint = f"http://127.0.0.1:{front.port}"
        async with interface(endpoint_url=endpoint, region=None) as events:
            lease = events.subscribe_event("E_TEST", "sqs:https://sqs.eu-west-3.amazonaws.com/1/q")
            assert lease.subscriber.socket.endpoints == (("127.0.0.1", front.port),)
            assert await reasons(events, [1]) == [None]
    request, arguments = front.requests[0]
    assert "/eu-west-3/sqs/aws4_request" in request.headers["Authorization"]
    assert arguments["QueueUrl"] == "https://sqs.eu-west-3.amazonaws.com/1/q"


async def test_credentials_of_the_environment(moto, monkeypatch, tmp_path):
    """Without keys in the options the usual chain is asked, again at each attempt while it has none."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    url = await queue(moto)
    keys = {"access_key_id": None, "secret_access_key": None}
    async with Front(moto.port, lambda *_: None) as front, interface(**keys) as events:
        events.subscribe_event("E_TEST", behind(front, url))
        events.raise_event("E_TEST", [1])
        await until(lambda: events.statistics[0].away == "no_credentials")
        (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(
            "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = s3cret-file\n"
        )
        await until(lambda: events.statistics[0].delivered)
    assert "Credential=AKIDFILE/" in front.requests[0][0].headers["Authorization"]


async def test_no_region(monkeypatch, tmp_path):
    """A host that names no region, and no region anywhere else, is one clear reason."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with interface(QUICK_END, region=None) as events:
        events.subscribe_event("E_TEST", "sqs:http://127.0.0.1:1/1/q")
        events.raise_event("E_TEST", [1])
        await until(lambda: events.statistics[0].away)
        assert events.statistics[0].away == "no_region"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"queue_url": ["q"]}, r"queue_url: expected \[name\]url"),
        ({"queue_url": ["[a]http://h"]}, "queue_url: expected sqs:https"),
        ({"queue_url": ["[a]https://h/1/q", "[a]https://h/1/r"]}, r"queue_url: expected each name once, got \[a\]"),
        ({"region": "EU West"}, "region: expected a region"),
        ({"endpoint_url": "https://h/path"}, "endpoint_url: expected https"),
        ({"secret_access_key": None}, "access_key_id: expected it and secret_access_key"),
        ({"message_group": "a b"}, "message_group: expected 1 to 128"),
        ({"max_bytes": 2 << 20}, "max_bytes: expected"),
    ],
)
def test_options_that_do_not_fit(options, problem):
    """An option that does not fit is one clear error, without a secret."""
    with pytest.raises(ValueError, match=problem) as caught:
        Options(**{**KEYS, **options})
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(Options(**KEYS))


def test_a_file_that_cannot_be_used():
    """A missing file of certificates is an error of the start."""
    with pytest.raises(evframe.ConfigError, match=r"ca_file: expected certificates, got '/nowhere.pem'"):
        SqsTransport(Options(ca_file="/nowhere.pem"))


@pytest.mark.parametrize(
    ("answer", "reached"),
    [(None, True), (error("AccessDenied", 403), True), (error("InvalidClientTokenId", 403), False)],
)
async def test_probes(moto, answer, reached):
    """A probe asks for the queue; who may not ask may be permitted to send."""
    url = await queue(moto)
    transport = SqsTransport(Options(**KEYS))
    async with Front(moto.port, lambda *_: answer) as front:
        socket = transport.on_subscribe(scheme="sqs", rest=behind(front, url)[4:])
        try:
            if reached:
                await transport.deliver(socket=socket, batch=evframe.Batch(()))
            else:
                with pytest.raises(evframe.Unavailable, match="access_refused"):
                    await transport.deliver(socket=socket, batch=evframe.Batch(()))
        finally:
            await transport.stop()
    assert not await taken(moto, url)


async def test_a_server_of_another_protocol():
    """What listens and is no such service is away."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello\r\n")

    async with StreamServer(serve) as server, interface(QUICK_END) as events:
        events.subscribe_event("E_TEST", f"sqs:http://127.0.0.1:{server.port}/1/q")
        events.raise_event("E_TEST", [1])
        await until(lambda: events.statistics[0].away)
        assert events.statistics[0].away in {"closed", "bad_reply"}


async def test_no_tls():
    """A receiver without TLS is away for a reason that says so, or ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        async def refuse():
            loop = asyncio.get_running_loop()
            listener.setblocking(False)
            accepted, _ = await loop.sock_accept(listener)
            await loop.sock_sendall(accepted, b"HTTP/1.0 400 no\r\n\r\n")
            accepted.close()

        task = asyncio.create_task(refuse())
        async with interface(QUICK_END) as events:
            events.subscribe_event("E_TEST", f"sqs:https://127.0.0.1:{port}/1/q")
            events.raise_event("E_TEST", [1])
            await until(lambda: events.statistics[0].away)
            assert events.statistics[0].away in {"tls", "reset", "closed"}
        task.cancel()

"""Probes of real servers and peers on the loopback address."""

import asyncio
import contextlib
import socket
import ssl
import subprocess

import pytest
from aiohttp import web
from evframe_probing import Bind, ProbeOptions, Prober, SipOptions, parse_target
from evframe_probing.testing import Received, SipPeer
from stream_servers import StreamServer

from evframe.testing import until

LIMIT_S = 20.0


@contextlib.asynccontextmanager
async def prober(sip=None, **options):
    made = Prober(ProbeOptions(**{"timeout_s": LIMIT_S, **options}), sip)
    try:
        yield made
    finally:
        await made.close()


async def probe(uri, sip=None, **options):
    async with prober(sip, **options) as made:
        return await made.probe(parse_target(uri))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def listening(handle=None, **options):
    """Yield the port of a server, and wait until its connections have ended."""
    async with StreamServer(handle, **options) as server:
        yield server.port
        await server.ended()


@contextlib.asynccontextmanager
async def http_server(handle, tls=None):
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a certificate for localhost, and the context of a server that has it."""
    folder = tmp_path_factory.mktemp("tls")
    path, key = folder / "certificate.pem", folder / "key.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", path]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return str(path), context


async def hang_up(*_):
    pass


async def test_tcp_connects():
    """A connection that is taken is good, and is closed again."""
    ended = asyncio.Event()

    async def handle(reader, _):
        assert await reader.read() == b""
        ended.set()

    async with listening(handle) as port:
        reply = await probe(f"tcp://127.0.0.1:{port}")
        assert (reply.code, reply.good, reply.reason) == (200, True, "")
        assert 0 < reply.elapsed_s < LIMIT_S
        await ended.wait()


async def test_tcp_refused():
    """A refused connection is a negative reply."""
    reply = await probe(f"tcp://127.0.0.1:{free_port()}")
    assert (reply.code, reply.good, reply.reason) == (503, False, "refused")


@pytest.mark.parametrize("uri", ["tcp://nowhere.invalid:80", "http://nowhere.invalid/", "sip:nowhere.invalid"])
async def test_a_name_that_is_not_known(uri):
    """Nothing can be sent to a host without an address."""
    reply = await probe(uri)
    assert (reply.code, reply.good, reply.reason) == (None, False, "no_such_host")


@pytest.mark.parametrize(("status", "good"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_http_statuses(method, status, good):
    """The status is the reply; redirections are not followed, and the body is not read."""
    seen = []

    async def answer(request):
        seen.append((request.method, request.path_qs))
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with http_server(answer) as port:
        reply = await probe(f"http://127.0.0.1:{port}/health?x=1", http_method=method)
    assert (reply.code, reply.good) == (status, good)
    assert seen == [(method, "/health?x=1")]


async def test_http_codes_that_are_expected():
    """Exactly the listed codes are good."""

    async def answer(request):
        return web.Response(status=int(request.path[1:]))

    async with http_server(answer) as port, prober(http_reply_codes="401,200-201") as made:
        found = [await made.probe(parse_target(f"http://127.0.0.1:{port}/{code}")) for code in (200, 202, 401)]
    assert [(reply.code, reply.good) for reply in found] == [(200, True), (202, False), (401, True)]


async def test_http_peers_that_misbehave():
    """A peer that hangs up, or speaks another protocol, is a negative reply."""

    async def babble(_, writer):
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()

    async with listening(hang_up) as port:
        reply = await probe(f"http://127.0.0.1:{port}/")
        assert (reply.code, reply.good) == (503, False)
        assert reply.reason in {"closed", "reset"}
    async with listening(babble) as port:
        reply = await probe(f"http://127.0.0.1:{port}/")
        assert (reply.code, reply.good) == (503, False)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:{}/", "sip:127.0.0.1:{};transport=tcp", "https://127.0.0.1:{}/"])
async def test_a_peer_that_is_silent(uri):
    """Without an answer in time the code is 408."""
    async with listening() as port:
        reply = await probe(uri.format(port), timeout_s=0.05)
    assert (reply.code, reply.good, reply.reason) == (408, False, "timeout")


async def test_https_is_verified(certificate):
    """A certificate counts when its authority is known and the name fits, or when it is not checked."""
    path, context = certificate

    async def answer(_):
        return web.Response()

    async with http_server(answer, context) as port:
        trusted = await probe(f"https://localhost:{port}/", ca_file=path)
        unknown = await probe(f"https://localhost:{port}/")
        other_name = await probe(f"https://127.0.0.1:{port}/", ca_file=path)
        unseen = await probe(f"https://127.0.0.1:{port}/", verify_tls=False)
    assert (trusted.code, trusted.good) == (200, True)
    assert (unknown.code, unknown.reason) == (other_name.code, other_name.reason) == (503, "tls")
    assert unseen.good


def test_a_file_without_certificates(tmp_path):
    """A missing file, or one without certificates, is an error of the option."""
    (tmp_path / "empty.pem").touch()
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ValueError, match="ca_file: expected a file of certificates"):
            ProbeOptions(ca_file=str(tmp_path / name))


async def test_sip_over_udp():
    """A peer gets a whole OPTIONS request and its final response is the reply."""
    async with SipPeer() as peer:
        reply = await probe(f"sip:gw@127.0.0.1:{peer.port}", SipOptions(from_uri="sip:me@here", max_forwards=7))
        (request,) = peer.received
    assert (reply.code, reply.good, reply.reason) == (200, True, "")
    assert (request.method, request.uri) == ("OPTIONS", f"sip:gw@127.0.0.1:{peer.port}")
    assert request.fields["via"].startswith(f"SIP/2.0/UDP 127.0.0.1:{request.peer[1]};rport;branch=z9hG4bK")
    assert request.fields["from"].startswith("<sip:me@here>;tag=")
    assert request.fields["max-forwards"] == "7"


async def test_sip_over_ipv6():
    """An address in brackets is reached, and stands in brackets in the request."""
    async with SipPeer(host="::1") as peer:
        reply = await probe(f"sip:[::1]:{peer.port}")
        assert peer.received[0].fields["via"].startswith("SIP/2.0/UDP [::1]:")
    assert reply.good


async def test_sip_codes_that_are_expected():
    """200 is good, and so are the listed codes; the method is the configured one."""
    async with SipPeer(404) as peer:
        uri = f"sip:127.0.0.1:{peer.port}"
        assert (await probe(uri)).good is False
        listed = await probe(uri, SipOptions(method="INFO", reply_codes=frozenset({404})))
        assert (listed.code, listed.good) == (404, True)
        peer.code = 200
        assert (await probe(uri, SipOptions(reply_codes=frozenset({404})))).good
        assert [request.method for request in peer.received] == ["OPTIONS", "INFO", "OPTIONS"]


async def test_a_lost_request_is_sent_again():
    """Until there is a response the same request is sent anew."""
    async with SipPeer() as peer:
        peer.answer = lambda request: request.response(200) if len(peer.received) == 3 else None
        reply = await probe(f"sip:127.0.0.1:{peer.port}", SipOptions(t1_s=0.01))
        assert reply.good
        assert len(peer.received) == 3
        assert len({request.fields["via"] for request in peer.received}) == 1


async def test_a_provisional_response_is_no_reply():
    """After it the final one is waited for, with the long pause between requests."""
    async with SipPeer() as peer:
        peer.answer = lambda request: request.response(100)
        async with prober(SipOptions(t1_s=0.001)) as made:
            work = asyncio.ensure_future(made.probe(parse_target(f"sip:127.0.0.1:{peer.port}")))
            await until(lambda: peer.received)
            peer.send(peer.received[0].response(486), peer.received[0].peer)
            assert (await work).code == 486


async def test_what_is_no_answer_is_passed_over():
    """Noise, and a response to somebody else's request, do not count."""
    async with SipPeer() as peer:

        def answer(request):
            peer.send(b"\r\n\r\n", request.peer)
            peer.send(b"noise \xff", request.peer)
            peer.send(request.response(500).replace(b"branch=z9hG4bK", b"branch=z9hG4bK0"), request.peer)
            peer.send(request.response(500).replace(request.fields["call-id"].encode(), b"other"), request.peer)
            return request.response(200)

        peer.answer = answer
        assert (await probe(f"sip:127.0.0.1:{peer.port}")).code == 200


async def test_nobody_answers_over_udp():
    """Without a response the code is 408, whether a port is closed or a peer silent."""
    reply = await probe(f"sip:127.0.0.1:{free_port(socket.SOCK_DGRAM)}", timeout_s=0.05)
    assert (reply.code, reply.good, reply.reason) == (408, False, "timeout")


async def test_what_cannot_be_sent_over_udp():
    """An address that this side may not send to is reported as not sent."""
    reply = await probe("sip:255.255.255.255")
    assert (reply.code, reply.good) == (None, False)
    assert reply.reason


async def test_the_socket_of_probes():
    """Requests leave from the configured address and port, which stand in the Via."""
    port = free_port(socket.SOCK_DGRAM)
    async with SipPeer() as peer:
        reply = await probe(f"sip:127.0.0.1:{peer.port}", SipOptions(bind=Bind.parse(f"udp:127.0.0.1:{port}")))
        assert reply.good
        assert peer.received[0].peer == ("127.0.0.1", port)
        assert peer.received[0].fields["via"].startswith(f"SIP/2.0/UDP 127.0.0.1:{port};")


def test_forms_of_a_socket():
    """A host, perhaps with a port, perhaps after the protocol."""
    assert Bind.parse("udp:192.0.2.1:5077") == Bind("192.0.2.1", 5077)
    assert Bind.parse("192.0.2.1") == Bind("192.0.2.1", 0)
    assert Bind.parse("udp:[::1]") == Bind("::1", 0)
    assert Bind.parse("[::1]:5060") == Bind("::1", 5060)
    for text in ("", "udp:", "tcp:192.0.2.1:5060", "h:x"):
        with pytest.raises(ValueError, match="expected"):
            Bind.parse(text)


@pytest.mark.parametrize("secure", [False, True])
async def test_sip_over_connections(certificate, secure):
    """Over TCP and TLS a provisional response is passed over, and the final one is the reply."""
    path, context = certificate

    async def handle(reader, writer):
        data = await reader.readuntil(b"\r\n\r\n")
        request = Received.read(data, writer.get_extra_info("peername")[:2])
        assert f"SIP/2.0/{'TLS' if secure else 'TCP'} 127.0.0.1:" in request.fields["via"]
        writer.write(request.response(100) + request.response(200))
        await reader.read()

    async with listening(handle, ssl=context if secure else None) as port:
        reply = await probe(f"sip:localhost:{port};transport={'tls' if secure else 'tcp'}", ca_file=path)
    assert (reply.code, reply.good) == (200, True)


async def test_a_sip_connection_that_ends():
    """A connection that ends before the response is a negative reply."""
    async with listening(hang_up) as port:
        reply = await probe(f"sip:127.0.0.1:{port};transport=tcp")
    assert (reply.code, reply.good) == (503, False)


async def test_probes_are_bounded():
    """No more than so many are under way; the others have their turn, and their whole time, after that."""
    open_now, most = 0, 0

    async def handle(reader, writer):
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0)
        open_now -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with listening(handle) as port, prober(max_concurrent=3) as made:
        target = parse_target(f"http://127.0.0.1:{port}/")
        replies = await asyncio.gather(*(made.probe(target) for _ in range(12)))
    assert all(reply.good for reply in replies)
    assert most <= 3


async def test_many_probes_share_a_socket():
    """Each response finds its request, whatever the order."""
    async with SipPeer() as peer:
        held = []

        def answer(request):
            held.append(request)
            if len(held) == 100:
                for each in reversed(held):
                    peer.send(each.response(200 if int(each.uri.partition("@")[0][5:]) % 2 else 404), each.peer)

        peer.answer = answer
        async with prober(SipOptions(t1_s=LIMIT_S)) as made:
            uris = [f"sip:u{n}@127.0.0.1:{peer.port}" for n in range(100)]
            replies = await asyncio.gather(*(made.probe(parse_target(uri)) for uri in uris))
        assert [reply.code for reply in replies] == [404, 200] * 50
        assert len({request.peer for request in peer.received}) == 1


async def test_nothing_stays_open():
    """After the end no task, socket or thread of a lookup is left at work."""
    before = asyncio.all_tasks()
    async with SipPeer() as peer, listening() as port:
        async with prober(timeout_s=0.05) as made:
            targets = [parse_target(f"sip:localhost:{peer.port}"), parse_target(f"http://localhost:{port}/")]
            await asyncio.gather(*map(made.probe, targets))
    await until(lambda: asyncio.all_tasks() <= before)

"""Kept subscribers of every transport: the peer is away, the gateway is killed meanwhile, and nothing on disk is lost.

A gateway raises numbered events at a steady rate. Its peer leaves, the gateway is killed in the midst of that time and
started again, and the peer comes back. EVFRAME_OUTAGE_S and EVFRAME_OUTAGE_RATE make it longer, as `.ci/long` does.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from brokers.kafka import Kafka
from brokers.queues import bodies_in, make_queue
from brokers.rabbitmq import RabbitMQ
from brokers.topics import make_topic, records_in
from evframe_wire.framing import Splitter
from kept import Gateway, configuration, number_of, on_disk
from processes import until

SECONDS = float(os.environ.get("EVFRAME_OUTAGE_S", "3"))
RATE = int(os.environ.get("EVFRAME_OUTAGE_RATE", "500"))
IS_LONG = "EVFRAME_OUTAGE_S" in os.environ  # the suite has a transport of each kind, `.ci/long` all of them
HALF = int(SECONDS * RATE / 2)  # events of half of the outage
AGAIN = 4096 + 8192 + 1024  # a frame whose outcomes were not written, what was under way, and a batch
SECOND_RUN = 10_000_000
pytestmark = pytest.mark.timeout(120 + 30 * SECONDS)


class Datagrams:
    """Reads datagrams; to leave, it has the kernel refuse more, and reads what is there."""

    def __init__(self, family, address, elsewhere):
        self._family, self._address, self._elsewhere = family, address, elsewhere
        self._socket = None
        self.got = []

    def come(self):
        self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
        with suppress(OSError):
            # SO_RCVBUFFORCE: UDP has no flow control, and what a full buffer has no room for is lost.
            self._socket.setsockopt(socket.SOL_SOCKET, 33, 512 << 20)
        self._socket.bind(self._address)
        self._thread = threading.Thread(target=self._run, args=(self._socket,))
        self._thread.start()

    def _run(self, kernel):
        while payload := kernel.recv(65536):
            self.got.append(number_of(payload))

    def go(self):
        kernel, self._socket = self._socket, None
        if kernel is None:
            return
        with socket.socket(self._family, socket.SOCK_DGRAM) as other:
            other.bind(self._elsewhere)
            kernel.connect(self._elsewhere)  # the kernel refuses datagrams of others from now on
            other.sendto(b"", self._address)  # behind all that was sent before
            self._thread.join()
        kernel.close()
        for path in (self._address, self._elsewhere) if self._family == socket.AF_UNIX else ():
            os.unlink(path)


class Stream:
    """Reads JSON-RPC from connections; to leave, it closes its side, and reads to the end of the others."""

    def __init__(self, port, *, answers):
        self._port, self._answers = port, answers
        self._listening = None
        self.got = []

    def come(self):
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._connections, self._threads = [], []
        threading.Thread(target=self._accept, args=(self._listening,)).start()

    def _accept(self, listening):
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._read, args=(connection,)))
                self._threads[-1].start()

    def _read(self, connection):
        splitter = Splitter(1 << 20)
        with suppress(OSError):
            while data := connection.recv(1 << 16):
                for message in splitter.read(data):
                    self.got.append(message["params"]["n"])
                    if self._answers:
                        reply = {"jsonrpc": "2.0", "id": message["id"], "result": 1}
                        connection.sendall(json.dumps(reply).encode())

    def go(self):
        listening, self._listening = self._listening, None
        if listening is None:
            return
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR if self._answers else socket.SHUT_WR)
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()


class Web:
    """An XML-RPC server."""

    def __init__(self, port):
        self._port = port
        self._server = None
        self.got = []

    def come(self):
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.got.append(int(re.search(rb">(\d+)</i", body)[1]))
                reply = b"<methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def process_request(self, request, address):
                web.connections.append(request)
                super().process_request(request, address)

            def handle_error(self, *_):
                pass

        self.connections = []
        self._server = Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def go(self):
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            for connection in self.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class Folder:
    """The folder of a file, which is moved away and back."""

    def __init__(self, folder):
        self._folder = folder
        folder.mkdir()

    def come(self):
        if not self._folder.exists():
            self._folder.with_suffix(".away").rename(self._folder)

    def go(self):
        self._folder.rename(self._folder.with_suffix(".away"))

    @property
    def got(self):
        path = (self._folder if self._folder.exists() else self._folder.with_suffix(".away")) / "file"
        return [int(line.rpartition(",")[2]) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


class Route:
    """A route that writes what it takes to a file, and raises while another file is there."""

    def __init__(self, folder, monkeypatch):
        self._taken, self._broken = folder / "taken", folder / "broken"
        monkeypatch.setenv("EVFRAME_TAKEN", str(self._taken))
        monkeypatch.setenv("EVFRAME_BROKEN", str(self._broken))

    def come(self):
        self._broken.unlink(missing_ok=True)

    def go(self):
        self._broken.touch()

    @property
    def got(self):
        return list(map(int, self._taken.read_text().split())) if self._taken.exists() else []


class Broker:
    """A broker that is killed, and started again."""

    def __init__(self, kind, read):
        self._broker, self._read = kind, read

    def come(self):
        if self._broker.process is None:
            self._broker.start()

    def go(self):
        self._broker.stop(signal.SIGKILL)

    @property
    def got(self):
        return list(map(number_of, asyncio.run(self._read(self._broker))))


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def leaving(*peers):
    """Have peers leave in the end, whatever comes of the test."""
    try:
        for peer in peers:
            peer.come()
        yield
    finally:
        for peer in peers:
            with suppress(OSError):
                peer.go()


def outage(folder, socket_text, peers, more=""):
    """Have the peers of a kept subscriber away, and the gateway killed meanwhile; return what has to arrive.

    That is what the first gateway knew as delivered or stored, what its disk had, and all of the second one.
    """
    path, journal = configuration(folder, socket_text, more), folder / "journal"
    with leaving(*peers):
        gateway = Gateway(path, 0, 10 * HALF, RATE)
        try:
            until(lambda: gateway.has_raised(RATE // 5))
            until(lambda: isinstance(peers[0], Broker) or any(peer.got for peer in peers))
            for peer in peers:
                peer.go()
            begun = gateway.next
            until(lambda: gateway.has_raised(begun + HALF), 60 + 10 * SECONDS)
            until(lambda: gateway.safe >= begun)
            kept = on_disk(journal)
        finally:
            gateway.kill()
        assert kept
        kept |= set(range(gateway.safe))
        gateway = Gateway(path, SECOND_RUN, HALF + RATE, RATE)
        try:
            until(lambda: gateway.has_raised(HALF), 60 + 10 * SECONDS)
            for peer in peers:
                peer.come()
            assert gateway.end(180 + 10 * SECONDS) == 0  # a broker syncs each event to a disk that others use, too
        finally:
            with suppress(ProcessLookupError):
                gateway.process.kill()
        assert json.loads(gateway.last) == {}
        assert on_disk(journal) == set()
        expected = kept | set(range(SECOND_RUN, gateway.next))
        until(lambda: isinstance(peers[0], Broker) or {n for peer in peers for n in peer.got} >= expected)
    return expected


def assert_complete(got, expected):
    """Fail unless all that was expected has come, in order but for what came again, which is within the bound."""
    missing = sorted(expected - set(got))
    assert not missing, f"{len(missing)} of {len(expected)} missing, from {missing[0]} to {missing[-1]}"
    first = list(dict.fromkeys(got))
    jumps = [(before, after) for before, after in pairwise(first) if after < before]
    assert not jumps, f"out of order at {len(jumps)} places: {jumps[:10]}"
    assert len(got) - len(first) <= AGAIN


def udp_peer():
    port = free_port(socket.SOCK_DGRAM)
    elsewhere = free_port(socket.SOCK_DGRAM)
    return f"udp:127.0.0.1:{port}", Datagrams(socket.AF_INET, ("127.0.0.1", port), ("127.0.0.1", elsewhere))


def unix_peer(folder, name="peer"):
    path = str(folder / name)
    return f"unix:{path}", Datagrams(socket.AF_UNIX, path, f"{path}-elsewhere")


@pytest.mark.parametrize(
    "kind", ["unix", "reliable", "flatstore", *(["udp", "tcp", "xmlrpc", "route"] if IS_LONG else [])]
)
def test_nothing_on_disk_is_lost(tmp_path, monkeypatch, kind):
    """What was stored at a kill while the peer is away arrives when it is back, and what was raised afterwards."""
    port, more = free_port(), ""
    if kind == "udp":
        text, peer = udp_peer()
    elif kind == "unix":
        text, peer = unix_peer(tmp_path)
    elif kind in {"tcp", "reliable"}:
        text, peer = f"tcp:127.0.0.1:{port}", Stream(port, answers=kind == "reliable")
        more = f"[plugins.stream]\nreliable_mode = {str(kind == 'reliable').lower()}\n"
    elif kind == "xmlrpc":
        text, peer = f"xmlrpc:127.0.0.1:{port}:call", Web(port)
    elif kind == "flatstore":
        text, peer = f"flatstore:{tmp_path}/folder/file", Folder(tmp_path / "folder")
    else:
        text, peer = "route:E_TEST", Route(tmp_path, monkeypatch)
        more = '[routes]\nE_TEST = "writing_route:take"\n'
    expected = outage(tmp_path, text, [peer], more)
    assert_complete(peer.got, expected)


@pytest.mark.parametrize("kind", ["PARALLEL", *(["FAILOVER", "ROUND-ROBIN"] if IS_LONG else [])])
def test_nothing_on_disk_is_lost_through_a_group(tmp_path, kind):
    """The same through members of several transports; each of PARALLEL gets everything."""
    port = free_port()
    members = [udp_peer(), unix_peer(tmp_path), (f"tcp:127.0.0.1:{port}", Stream(port, answers=True))]
    peers = [peer for _, peer in members]
    more = "[plugins.stream]\nreliable_mode = true\n[plugins.virtual]\nfailover_timeout_s = 0.1\n"
    expected = outage(tmp_path, f"virtual:{kind} " + " ".join(text for text, _ in members), peers, more)
    if kind == "PARALLEL":
        for peer in peers:
            assert_complete(peer.got, expected)
    else:
        got = [number for peer in peers for number in peer.got]
        assert expected - set(got) == set()
        assert len(got) - len(set(got)) <= AGAIN


async def bodies_of(broker):
    return await bodies_in(broker, "outage")


@pytest.mark.timeout(300 + 30 * SECONDS)
@pytest.mark.parametrize("kind", ["rabbitmq", *(["kafka"] if IS_LONG else [])])
def test_nothing_on_disk_is_lost_by_a_broker_that_is_killed(tmp_path, kind, request):
    """The same with a broker that is killed and started again."""
    if request.config.getoption("--without-brokers"):
        pytest.skip("without brokers")
    broker = RabbitMQ() if kind == "rabbitmq" else Kafka()
    try:
        broker.start()
        if kind == "rabbitmq":
            asyncio.run(make_queue(broker, "outage"))
            text, read = f"rabbitmq:127.0.0.1:{broker.port}/persistent?outage", bodies_of
        else:
            topic = asyncio.run(make_topic(broker))
            text = f"kafka:127.0.0.1:{broker.port}/{topic}"

            async def read(broker):
                return [record.value for record in await records_in(broker, topic)]

        peer = Broker(broker, read)
        with_broker = outage(tmp_path, text, [peer])
        broker.start()
        assert_complete(peer.got, with_broker)
    finally:
        broker.stop(signal.SIGKILL)
        broker.remove()
        shutil.rmtree(broker.folder, ignore_errors=True)

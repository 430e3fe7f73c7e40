"""A whole exchange with an instance, with the answers of the reference, over each management transport."""

import asyncio
import json
import os
import socket
from contextlib import asynccontextmanager

import pytest
from evframe_opensips import InstanceOptions, OpensipsBridge, Options

from evframe.testing import Recorder, until

SOCKET = "udp:127.0.0.1:%d"
LIST = '{"Events":[{"name":"E_CORE_SR_STATUS_CHANGED","id":0},{"name":"E_CORE_THRESHOLD","id":1},{"name":"E_SCRIPT_A","id":11},{"name":"E_SCRIPT_B","id":12}]}'
OTHERS = '{"Events":[{"name":"E_SCRIPT_A","id":11,"Subscribers":[{"socket":"udp:127.0.0.1:19001","expire":"never"}]}]}'
EXPIRED = '{"Events":[{"name":"E_SCRIPT_A","id":11,"Subscribers":[{"socket":"%(socket)s","expire":600,"ttl":"expired"},{"socket":"udp:127.0.0.1:19001","expire":"never"}]}]}'
ONE = '{"Events":[{"name":"E_SCRIPT_A","id":11,"Subscribers":[{"socket":"%(socket)s","expire":600,"ttl":599},{"socket":"udp:127.0.0.1:19001","expire":"never"}]}]}'
OK = '"result":"OK"'
BAD = '"error":{"code":400,"message":"Bad parameter value"}'
EXCHANGE = [
    # Attached: one event is taken, the other not.
    ("events_list", [], f'"result":{LIST}'),
    ("subscribers_list", [], f'"result":{OTHERS}'),
    ("opensips:origins", [], '"error":{"code":-32601,"message":"Method not found"}'),
    ("event_subscribe", ["E_SCRIPT_A", "%(socket)s", 600], OK),
    ("event_subscribe", ["E_SCRIPT_B", "%(socket)s", 600], BAD),
    # The lease has expired, which the original shows until the next raise; the other is tried again.
    ("events_list", [], f'"result":{LIST}'),
    ("subscribers_list", [], f'"result":{EXPIRED}'),
    ("opensips:origins", [], '"error":{"code":-32601,"message":"Method not found"}'),
    ("event_subscribe", ["E_SCRIPT_A", "%(socket)s", 600], OK),
    ("event_subscribe", ["E_SCRIPT_B", "%(socket)s", 600], OK),
    # One lease was ended; the list of all is too long for a datagram.
    ("events_list", [], f'"result":{LIST}'),
    ("subscribers_list", [], None),
    ("subscribers_list", ["E_SCRIPT_A", "%(socket)s"], '"result":{"Event":{"name":"E_SCRIPT_A","id":11,"Subscriber":{"socket":"%(socket)s","expire":600,"ttl":598}}}'),
    ("subscribers_list", ["E_SCRIPT_B", "%(socket)s"], '"error":{"code":404,"message":"Subscriber does not exist"}'),
    ("event_subscribe", ["E_SCRIPT_B", "%(socket)s", 600], OK),
    # An instance of 3.x that was started with another script.
    ("events_list", [], '"result":{"Events":[{"name":"E_SCRIPT_A","id":3}]}'),
    ("subscribers_list", [], '"result":{"Events":[]}'),
    ("opensips:origins", [], '"error":{"code":-32601,"message":"Method not found"}'),
    ("event_subscribe", ["E_SCRIPT_A", "%(socket)s", 600], OK),
]  # fmt: skip


class Script:
    """Answers the requests of the exchange one after the other; then with what keeps things as they are."""

    def __init__(self, socket_text):
        self._socket = socket_text
        self.seen = []
        self.left = []

    def answer(self, request):
        message = json.loads(request)
        number = len(self.seen)
        method, params = message["method"], message.get("params", [])
        if number < len(EXCHANGE):
            self.seen.append((method, params))
            outcome = EXCHANGE[number][2]
        elif method == "event_subscribe":
            self.left.append(params)
            outcome = OK
        else:
            outcome = f'"result":{LIST if method == "events_list" else ONE}'
        if outcome is None:
            return b"500 Internal error"
        return f'{{"jsonrpc":"2.0",{outcome % {"socket": self._socket} if "%" in outcome else outcome},"id":{json.dumps(message["id"])}}}'.encode()

    def expected(self):
        return [
            (method, [text % {"socket": self._socket} if isinstance(text, str) else text for text in params])
            for method, params, _ in EXCHANGE
        ]


@asynccontextmanager
async def over_datagrams(script, family, address):
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as server:
        server.bind(address)

        def read():
            request, sender = server.recvfrom(65536)
            server.sendto(script.answer(request), sender)

        asyncio.get_running_loop().add_reader(server, read)
        try:
            yield server.getsockname()
        finally:
            asyncio.get_running_loop().remove_reader(server)


@asynccontextmanager
async def over_fifo(script, path, reply_dir):
    os.mkfifo(path)
    fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def read():
        text = os.read(fifo, 65536).decode().lstrip()
        while text:  # several may follow each other
            _, name, rest = text.split(":", 2)
            message, end = json.JSONDecoder().raw_decode(rest)
            reply = os.open(f"{reply_dir}/{name}", os.O_WRONLY | os.O_NONBLOCK)
            os.write(reply, script.answer(json.dumps(message)))
            os.close(reply)
            text = rest[end:].lstrip()

    asyncio.get_running_loop().add_reader(fifo, read)
    try:
        yield
    finally:
        asyncio.get_running_loop().remove_reader(fifo)
        os.close(fifo)


@asynccontextmanager
async def management(kind, script, folder, front):
    if kind == "http":
        async with front() as server:
            server.answer = lambda request: json_of(script.answer(request), request)
            yield server.url
    elif kind == "udp":
        async with over_datagrams(script, socket.AF_INET, ("127.0.0.1", 0)) as address:
            yield "udp://%s:%d" % address
    elif kind == "unix":
        async with over_datagrams(script, socket.AF_UNIX, f"{folder}/mi.sock"):
            yield f"unix://{folder}/mi.sock"
    else:
        async with over_fifo(script, f"{folder}/fifo", folder):
            yield f"fifo://{folder}/fifo?reply_dir={folder}"


def json_of(answer, request):
    """Return the error that HTTP has instead of plain text."""
    if not answer.startswith(b"500"):
        return answer
    error = {"code": -32000, "message": "Server error", "data": "Command handler returned null"}
    return json.dumps({"jsonrpc": "2.0", "error": error, "id": json.loads(request)["id"]}).encode()


@pytest.mark.parametrize("kind", ["http", "udp", "unix", "fifo"])
async def test_exchange(tmp_path, front, kind):
    """The requests are those that an OpenSIPS knows, in this order, whatever it answers; nothing is left behind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Script(SOCKET % port)
    async with management(kind, script, tmp_path, front) as url:
        options = Options(
            [InstanceOptions("one", url, port=port)], events=["E_SCRIPT_*"], check_interval_s=0.05, timeout_s=5.0
        )
        async with Recorder({"opensips": OpensipsBridge(options)}) as recorder:
            await until(lambda: len(script.seen) == len(EXCHANGE))
            assert script.seen == script.expected()
            recorder.register_event("E_SCRIPT_A")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(
                    b'{"jsonrpc":"2.0","method":"E_SCRIPT_A","params":{"p2":"two","p1":1}}', ("127.0.0.1", port)
                )
            assert await recorder.wait_for(1) == [("E_SCRIPT_A", {"p2": "two", "p1": 1, "opensips_instance": "one"})]
            assert recorder.command("opensips:instances")["Instances"][0]["ready"]
    assert ["E_SCRIPT_A", SOCKET % port, 0] in script.left

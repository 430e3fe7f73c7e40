"""Streams and WebSockets over TLS and IPv6, with more than the kernel takes at once."""

import asyncio
import json
import ssl

import aiohttp
import pytest
from brokers import certificates
from evframe_mi import Management, ManagementOptions
from evframe_mi import Options as MiOptions
from evframe_sse import EventSourceTransport
from evframe_sse import Options as SseOptions
from evframe_websocket import Options as WebSocketOptions
from evframe_websocket import WebSocketTransport

import evframe
from evframe.testing import until

_TEXT = "x" * 60_000
_COUNT = 100


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the paths of a certificate and of its key."""
    folder = tmp_path_factory.mktemp("certificates")
    certificates.make(folder)
    return str(folder / "certificate.pem"), str(folder / "certificate-key.pem")


async def read_stream(session, url, trusting, found):
    async with session.get(f"{url}/events?event=E_A", ssl=trusting, timeout=None) as response:
        while text := await response.content.readuntil(b"\n\n", max_size=1 << 20):
            if text.startswith(b"event: E_A"):
                found.append(json.loads(text.split(b"data: ")[1])["params"]["n"])


async def read_socket(session, url, trusting, found):
    async with session.ws_connect(f"{url}/ws", ssl=trusting) as socket:
        await socket.send_str('{"jsonrpc":"2.0","id":1,"method":"event_subscribe","params":["E_A","ws:"]}')
        async for message in socket:
            read = json.loads(message.data)
            if read.get("method") == "E_A":
                found.append(read["params"]["n"])


@pytest.mark.parametrize("is_encrypted", [True, False], ids=["tls", "plain"])
@pytest.mark.parametrize(
    ("plugin", "options", "read"),
    [(EventSourceTransport, SseOptions, read_stream), (WebSocketTransport, WebSocketOptions, read_socket)],
    ids=["sse", "websocket"],
)
async def test_large_events_arrive_in_order(files, is_encrypted, plugin, options, read):
    """Each event arrives, and the queue waits for the client."""
    given = dict(zip(("tls_cert_file", "tls_key_file"), files, strict=True)) if is_encrypted else {}
    served = plugin(options(bind="[::1]:0", **given))
    mi = Management(MiOptions(ManagementOptions(schemes=["*"])))
    events = evframe.EventInterface(plugins={"mi": mi, "served": served})
    events.register_event("E_A")
    trusting = None
    if is_encrypted:
        trusting = ssl.create_default_context(cafile=files[0])
        trusting.check_hostname = False
    found = []
    async with events, aiohttp.ClientSession() as session:
        url = f"http{'s' if is_encrypted else ''}://[::1]:{served.address[1]}"
        reading = asyncio.ensure_future(read(session, url, trusting or True, found))
        await until(lambda: events.subscriptions)
        socket = events.subscriptions[0].subscriber.socket.canonical
        assert socket.partition(":")[2].startswith("[::1]:")
        for number in range(_COUNT):
            events.raise_event("E_A", {"n": number, "text": _TEXT})
        await until(lambda: len(found) == _COUNT)
        assert not reading.done()
        reading.cancel()
        assert found == list(range(_COUNT))
        await until(lambda: not events.subscriptions)
        assert events.statistics[-1].delivered == _COUNT

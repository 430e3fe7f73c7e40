"""Who may connect, and a page in a real browser."""

import base64
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from browsers import chromium
from web_sockets import gateway

TOKEN = "s3cret/token+"
SUBPROTOCOL = "evframe.token." + base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")
PAGE = "https://ops.example"


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"headers": {"Cookie": f"evframe_token={TOKEN}"}},
        {"params": {"access_token": TOKEN}},
        {"protocols": ("evframe.jsonrpc", SUBPROTOCOL)},
    ],
    ids=["header", "cookie", "query", "subprotocol"],
)
async def test_the_token_in_each_place(options, caplog):
    """A browser can bring the token in a cookie, a subprotocol or the query; the server repeats none of them."""
    caplog.set_level("DEBUG")
    async with gateway(token=TOKEN) as each:
        async with each.client(**options) as client:
            assert client.socket.protocol == ("evframe.jsonrpc" if "protocols" in options else None)
            assert await client.call("pwd")
    assert all(TOKEN not in json.dumps(vars(record), default=str) for record in caplog.records)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Authorization": "Bearer wrong"}},
        {"protocols": ("evframe.jsonrpc", "evframe.token.")},
        {"protocols": ("evframe.jsonrpc", "evframe.token.d3Jvbmc")},
        {"protocols": ("evframe.jsonrpc", "evframe.token.=")},
        {"params": {"access_token": "wrong"}},
    ],
)
async def test_without_the_right_token(options):
    """Nothing is opened."""
    async with gateway(token=TOKEN) as each:
        assert await each.refusal(**options) == 401
        assert not each.plugin.streams


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Origin": "https://evil.example", "Cookie": f"evframe_token={TOKEN}"},
    ],
)
async def test_a_page_of_others_is_refused(headers):
    """A cookie that the browser adds does not help the page of another server."""
    async with gateway(token=TOKEN if "Cookie" in headers else None) as each:
        assert await each.refusal(headers=headers) == 403


async def test_a_page_that_is_permitted():
    """A page of `origins` may connect."""
    async with gateway(origins=[PAGE]) as each, each.client(headers={"Origin": PAGE}) as client:
        assert await client.call("pwd")


@asynccontextmanager
async def site():
    """Yield the origin of a server of an empty page."""

    async def answer(_):
        return web.Response(text="<title>page</title>", content_type="text/html")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://127.0.0.1:%d" % runner.addresses[0][1]
    finally:
        await runner.cleanup()


_SCRIPT = """([url, token]) => new Promise((resolve) => {
  const socket = new WebSocket(url, ["evframe.jsonrpc", token])
  const messages = []
  socket.onopen = () => {
    for (const [id, method, params] of [
      [1, "event_subscribe", ["E_A", "ws:"]],
      [2, "raise_event", { event: "E_A", params: { n: 7 } }],
    ]) socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }))
  }
  socket.onmessage = ({ data }) => {
    messages.push(JSON.parse(data))
    if (messages.length == 4) socket.close(1000)
  }
  socket.onclose = ({ code }) => resolve([code, messages])
})"""


@pytest.mark.timeout(180)
async def test_a_page_in_a_browser():
    """It brings the token in a subprotocol, subscribes, raises, and gets the event."""
    async with chromium() as browser, gateway(token=TOKEN) as each, site() as origin:
        page = await browser.new_page()
        await page.goto(origin)
        code, messages = await page.evaluate(_SCRIPT, [each.url, SUBPROTOCOL])
        refused, none = await page.evaluate(_SCRIPT, [each.url, "evframe.token.d3Jvbmc"])
        await browser.close()
    assert code == 1000
    assert messages[0]["method"] == "stream:opened"
    assert {"jsonrpc": "2.0", "method": "E_A", "params": {"n": 7}} in messages
    assert [message["id"] for message in messages if "id" in message] == [1, 2]
    assert (refused, none) == (1006, [])

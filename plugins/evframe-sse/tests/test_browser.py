"""Streams in a real browser, and the page of the documentation."""

import re
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from browsers import chromium
from event_streams import Served
from playwright.async_api import expect

import evframe
from evframe.testing import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "watch-events-in-a-browser.md"


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    """Yield a browser."""
    async with chromium() as browser:
        yield browser


@asynccontextmanager
async def site(text):
    """Yield the origin of a server of one page."""

    async def answer(_):
        return web.Response(text=text, content_type="text/html")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://127.0.0.1:%d" % runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_the_page_of_the_documentation(browser, tmp_path):
    """It shows what is raised, and what came while its connection was lost."""
    path = tmp_path / "evframe.toml"
    async with site(block("html")) as origin:
        text = block("toml").replace("http://127.0.0.1:8000", origin).replace(":8890", ":0")
        path.write_text(text)
        async with evframe.EventInterface.from_toml(path) as events:
            each = Served(events, events.plugin("sse"))
            gateway = each.url.removesuffix("/events")
            page = await browser.new_page()
            await page.goto(f"{origin}/orders.html?gateway={gateway}")
            await expect(page.locator("#state")).to_have_text("connected")
            events.raise_event("E_ORDER_PLACED", {"id": 7})
            await expect(page.locator("li")).to_have_text(['{"id":7}'])
            (stream,) = each.sse.streams.values()
            stream.connection.close()
            await until(lambda: stream.connection is None)
            await expect(page.locator("#state")).to_have_text("connecting")
            events.raise_event("E_ORDER_PLACED", {"id": 8})
            await expect(page.locator("li")).to_have_text(['{"id":7}', '{"id":8}'])
            await expect(page.locator("#state")).to_have_text("connected")
            await page.close()
            await until(lambda: stream.connection is None)


@pytest.mark.parametrize("is_permitted", [True, False])
async def test_a_cookie_of_the_browser(browser, served, is_permitted):
    """A page of a permitted site reads with the cookie that the browser has; a page of others does not."""
    script = "<script>window.open_ = (url) => new Promise((resolve) => {\n"
    script += "const source = new EventSource(url, { withCredentials: true })\n"
    script += "source.addEventListener('stream', () => resolve('stream')); source.onerror = () => resolve('refused')\n"
    script += "})</script>"
    async with site(script) as origin:
        options = {"origins": [origin if is_permitted else "https://ops.example"], "token": "right", "retry_ms": 50}
        async with served(**options) as each:
            context = await browser.new_context()
            cookie = {"name": "evframe_token", "value": "right", "url": each.url.removesuffix("/events")}
            await context.add_cookies([{**cookie, "httpOnly": True, "sameSite": "Strict"}])
            page = await context.new_page()
            await page.goto(origin)
            found = await page.evaluate("(url) => open_(url)", f"{each.url}?event=E_A")
            assert found == ("stream" if is_permitted else "refused")
            await context.close()

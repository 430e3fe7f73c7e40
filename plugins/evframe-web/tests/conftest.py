"""A gateway with a page, and requests to it."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest
import pytest_asyncio
from browsers import chromium
from evframe_mi import Management
from evframe_virtual import VirtualTransport
from evframe_web import Options, Web

import evframe
from evframe.config import parse_config
from evframe.testing import MemoryTransport

TOKEN = "right"


class Served(SimpleNamespace):
    """An interface with a page: `events`, `web`, `memory`, and `get` and `post` for requests."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.web.address[1]}"

    async def get(self, path, token=None, **headers):
        """Return the status and what JSON says."""
        return await self._ask("GET", path, token, headers)

    async def post(self, body, token=TOKEN, path="/api/act", **headers):
        """Return the status and what JSON says to a request that has what one of the page has, unless it says otherwise."""
        given = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"} | headers
        return await self._ask("POST", path, token, given, json=body)

    async def _ask(self, method, path, token, headers, **body):
        given = {name: value for name, value in headers.items() if value is not None}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        async with aiohttp.ClientSession() as client:
            async with client.request(method, self.url + path, headers=given, **body) as response:
                self.headers = response.headers
                is_json = response.content_type == "application/json"
                return response.status, await (response.json() if is_json else response.text())


@asynccontextmanager
async def serving(options=None, config="[core]\ndrain_timeout_s = 0.1", **plugins):
    """Yield an interface with a page that is served."""
    memory, web = MemoryTransport(), Web(Options(**{"bind": "127.0.0.1:0", **(options or {})}))
    plugins = {"memory": memory, "virtual": VirtualTransport(), "mi": Management(), **plugins, "web": web}
    events = evframe.EventInterface(parse_config(config), plugins=plugins)
    events.register_event("E_A")
    async with events:
        yield Served(events=events, web=web, memory=memory)


@pytest.fixture
def served():
    """Return what yields an interface with a page: it takes the options of the page, a configuration, and plugins."""
    return serving


@pytest.fixture
def asking():
    """Return what makes requests to the page of an interface."""
    return lambda events: Served(events=events, web=events.plugin("web"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    """Yield a browser."""
    async with chromium() as browser:
        yield browser


@pytest.fixture
def look(browser):
    """Return what opens a page; it fails when the page has an error, breaks the policy of contents or asks something."""

    @asynccontextmanager
    async def look(each, *, expected=(), **options):
        context = await browser.new_context(**options)
        page = await context.new_page()
        found = []
        page.on("console", lambda message: message.type in {"error", "warning"} and found.append(message.text))
        page.on("pageerror", lambda error: found.append(str(error)))
        page.on("dialog", lambda dialog: found.append(f"dialog: {dialog.message}"))
        outside = []
        page.on("request", lambda request: request.url.startswith(f"{each.url}/") or outside.append(request.url))
        await page.goto(f"{each.url}/")
        try:
            yield page
        finally:
            assert [text for text in found if not any(part in text for part in expected)] == []
            assert outside == []
            assert await context.cookies() == []
            await context.close()

    return look

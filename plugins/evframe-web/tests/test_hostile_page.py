"""What others send, a proxy, a reload and the end of what has the focus: the page in a real browser."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from evframe_journal import JournalPlugin
from evframe_journal import Options as JournalOptions
from evframe_web import Options
from page_sections import Named, show
from playwright.async_api import expect

from evframe.config import Policy
from evframe.testing import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
TURN = "\u202e"
ESCAPED = "\\u202e"
DROPS = Policy(dead_letter=True)


async def watched(each):
    """Wait until a page looks at live events."""
    await until(lambda: each.web.statistics()[0].gauges["viewers"])


async def test_no_text_turns_the_words_around_it(served, look, tmp_path):
    """Marks of direction and control characters have escapes everywhere: in names, sockets, reasons and parameters."""
    name = f"E_{TURN}A\x07"
    journal = JournalPlugin(JournalOptions(str(tmp_path / "journal")))
    async with served(named=Named(), journal=journal) as each, look(each) as page:
        each.events.register_event(name, summary=TURN)
        each.events.subscribe_event(name, f"named:{TURN}", policy=DROPS)
        each.events.subscribe_event(name, f"virtual:FAILOVER memory:a named:{TURN}")
        each.memory.when("a", lambda batch: batch.fail(0, f"no{TURN}") or True)
        each.events.raise_event(name)
        await until(lambda: journal.letters.count == 1)
        for section in "123456":
            await show(page, section)
            if section == "2":
                await watched(each)
                each.events.raise_event(name, {TURN: TURN})
            await expect(page.get_by_role("tabpanel").filter(has_text=ESCAPED)).to_be_visible()
            assert TURN not in await page.evaluate("document.documentElement.outerHTML")
            rows = page.locator("[role=tabpanel]:not([hidden]) :is(.event, tbody tr[tabindex])").filter(
                has_text=ESCAPED
            )
            if await rows.count():
                await rows.first.click()
                await expect(page.locator("#detail")).to_contain_text(ESCAPED)
                assert TURN not in await page.evaluate("document.documentElement.outerHTML")


@pytest.mark.parametrize(
    "body",
    [
        {"deep": json.loads("[" * 200 + "]" * 200)},
        {"wide": [{"n": 1}] * 100_000},
        {"long": "y" * (8 << 20)},
        {"quoted": '"' * (1 << 20)},
    ],
    ids=lambda body: next(iter(body)),
)
async def test_a_large_letter_is_opened(served, look, tmp_path, body):
    """The beginning of any payload is shown, whatever its shape; a browser would stop for minutes to show all."""
    journal = JournalPlugin(JournalOptions(str(tmp_path / "journal")))
    async with served(journal=journal) as each, look(each) as page:
        each.memory.when("dead", lambda batch: batch.fail(0, "no") or True)
        each.events.subscribe_event("E_A", "memory:dead", policy=DROPS)
        each.events.raise_event("E_A", body)
        await until(lambda: journal.letters.count == 1)
        await show(page, "5")
        await page.locator("#letters tbody tr").first.click()
        await expect(page.locator("#detail pre")).to_contain_text("E_A", timeout=30_000)  # with megabytes, among others
        assert await page.evaluate("document.querySelector('#detail pre').textContent.length") < 200_000


async def test_json_is_shown_with_its_values(served, look):
    """Indented JSON means what it did, with every number as it was; other text is shown as it is."""
    texts = [
        '{"a":1.50,"b":[],"c":{},"d":[1,2,{"x":"y\\"\\\\"}],"e":" { , : } \\\\"}',
        "[[[]],[{}], 12345678901234567890 ]",
        '"x"',
        "12345678901234567890.0",
        '{"__proto__":{"a":"\\\\\\""}}',
    ]
    async with served() as each, look(each) as page:
        ask = "async (text) => (await import('/format.js')).pretty(text)"
        for text in texts:
            shown = await page.evaluate(ask, text)
            assert json.loads(shown, parse_int=str, parse_float=str) == json.loads(text, parse_int=str, parse_float=str)
        assert await page.evaluate(ask, '{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
        assert await page.evaluate(ask, "{no") == "{no"


async def test_a_proxy_may_have_the_page_below_a_path(served, look):
    """All that the page asks for is relative to where it is, the live events and the actions, too."""
    async with served({"token": "right", "read_without_token": True}) as each, aiohttp.ClientSession() as client:

        async def forward(request):
            path = request.raw_path.removeprefix("/gw-01")
            headers = {name: value for name, value in request.headers.items() if name != "Content-Length"}
            body = await request.read()
            async with client.request(request.method, each.url + path, headers=headers, data=body) as answer:
                kept = {name: answer.headers[name] for name in ("Content-Type", "Content-Security-Policy")}
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                return response

        runner = web.ServerRunner(web.Server(forward))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy = type("Proxy", (), {"url": f"http://127.0.0.1:{runner.addresses[0][1]}/gw-01"})
        each.events.subscribe_event("E_A", "virtual:FAILOVER memory:a memory:b")
        async with look(proxy) as page:
            await expect(page.locator("#state")).to_have_text("all well")
            await show(page, "2")
            await watched(each)
            each.events.raise_event("E_A", {"n": 1})
            await expect(page.locator(".event")).to_have_count(1)
            await page.click("#unlock")
            await page.keyboard.type("right")
            await page.keyboard.press("Enter")
            await show(page, "4")
            await page.get_by_role("button", name="Disable memory:a").click()
            await page.get_by_role("button", name="Disable", exact=True).click()
            await expect(page.get_by_role("button", name="Enable memory:a")).to_be_visible()
            assert await page.evaluate("Object.keys(sessionStorage)") == ["evframe-token /gw-01/"]
        await runner.cleanup()


async def test_a_page_that_is_open_shows_what_a_reload_has_changed(served, look):
    """Title, commands and the right to act follow the options, without another load of the page."""
    options = {"token": "right", "read_without_token": True}
    async with served(options) as each, look(each) as page:
        each.events.subscribe_event("E_A", "virtual:FAILOVER memory:a memory:b")
        each.events.raise_event("E_A")
        await page.click("#unlock")
        await page.keyboard.type("right")
        await page.keyboard.press("Enter")
        await show(page, "4")
        await expect(page.get_by_role("button", name="Disable memory:a")).to_be_visible()
        each.web.reconfigure(Options(bind=each.web._access.options.bind, title="another"))
        await expect(page.locator("#title")).to_have_text("another")
        await expect(page.get_by_role("button", name="Disable memory:a")).to_be_hidden()
        await expect(page.locator("#unlock")).to_be_hidden()


async def test_the_focus_stays_where_the_work_is(served, look, tmp_path):
    """What has the focus may go away: the next row gets it, and without one the section, so that keys lead on."""
    focused = "document.activeElement.tagName + ' ' + document.activeElement.id"
    journal = JournalPlugin(JournalOptions(str(tmp_path / "journal")))
    async with served({"token": "right", "read_without_token": True}, journal=journal) as each, look(each) as page:
        each.memory.when("dead", lambda batch: batch.fail(0, "no") or True)
        each.events.subscribe_event("E_A", "memory:dead", policy=DROPS)
        for _ in range(2):
            each.events.raise_event("E_A")
            await asyncio.sleep(0)
        await until(lambda: journal.letters.count == 2)
        await page.click("#unlock")
        await page.keyboard.type("right")
        await page.keyboard.press("Enter")
        await show(page, "5")
        rows = page.locator("#letters tbody tr")
        for left, place in ((1, "TR "), (0, "BUTTON tab-letters")):
            await rows.first.focus()
            await page.keyboard.press("Enter")
            await page.locator("#detail .danger").press("Enter")
            await page.get_by_role("dialog").get_by_role("button", name="Drop").press("Enter")
            await expect(rows).to_have_count(left)
            await page.wait_for_function(f"{focused} === {place!r}")


async def test_print_is_dark_on_white(served, look):
    """Paper has no background, whatever the colours of the screen are, which are those that were chosen."""
    async with served() as each, look(each, color_scheme="dark") as page:
        await expect(page.locator("#state")).to_have_text("all well")
        ground = "getComputedStyle(document.body).backgroundColor"
        seen = []
        for _ in ("light", "dark", "as the system"):
            await page.keyboard.press("t")
            seen.append(await page.evaluate(ground))
        assert seen == ["rgb(244, 246, 249)", "rgb(14, 18, 23)", "rgb(14, 18, 23)"]
        await page.keyboard.press("t")
        await page.keyboard.press("t")
        await page.emulate_media(media="print")
        assert await page.evaluate("getComputedStyle(document.body).color") == "rgb(24, 32, 43)"

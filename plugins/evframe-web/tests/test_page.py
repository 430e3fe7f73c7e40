"""The page in a real browser: Debian's Chromium, without a window."""

import socket
from types import SimpleNamespace

import pytest
from evframe_journal import JournalPlugin
from evframe_journal import Options as JournalOptions
from evframe_mi import Management
from evframe_web import Options, Web
from page_sections import IMAGE, SECTIONS, Named, show
from playwright.async_api import expect

import evframe
from evframe.config import Policy
from evframe.testing import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
TOKEN = "right"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
GROUP = "virtual:FAILOVER memory:first memory:second"


async def test_an_event_is_on_the_page(served, look):
    """What is raised is shown at once: its name and parameters, and all of it in the panel."""
    async with served() as each, look(each) as page:
        await expect(page.locator("#state")).to_have_text("all well")
        assert not each.events.statistics[:-1], "nothing is listened for before one looks"
        await show(page, "2")
        await until(lambda: each.web.statistics()[0].gauges["viewers"])
        each.events.raise_event("E_A", {"caller": "alice", "number": 12345678901234567890})
        row = page.locator(".event")
        await expect(row).to_contain_text("E_A")
        await expect(row.locator(".body")).to_have_text('{"caller":"alice","number":12345678901234567890}')
        await row.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#detail h2")).to_have_text("E_A")
        await expect(page.locator("#detail pre")).to_have_text(
            '{\n  "caller": "alice",\n  "number": 12345678901234567890\n}'
        )
        await page.keyboard.press("Escape")
        await expect(page.locator("#detail")).to_be_hidden()
        await expect(row).to_be_focused()
        await show(page, "1")
        await until(lambda: not each.web.statistics()[0].gauges["viewers"])


async def test_a_gateway_with_nothing_says_what_is_missing(look):
    """Without an event and a subscriber, the page has words instead of an empty picture, and rates of 0."""
    web = Web(Options(bind="127.0.0.1:0"))
    async with evframe.EventInterface(plugins={"mi": Management(), "web": web}):
        async with look(SimpleNamespace(url=f"http://127.0.0.1:{web.address[1]}")) as page:
            await expect(page.get_by_text("There is no event yet")).to_be_visible()
            await expect(page.get_by_text("There is no subscriber yet")).to_be_visible()
            await expect(page.locator(".stat.raised strong")).to_have_text("0")
            await show(page, "4")
            await expect(page.locator("#groups .empty")).to_contain_text("There is no subscriber with members")


async def test_live_events_are_paused_and_chosen_by_a_pattern(served, look):
    """While it is paused, new events are counted; a pattern has the gateway send those that match alone."""
    async with served() as each, look(each) as page:
        each.events.register_event("E_B")
        await show(page, "2")
        await until(lambda: each.web.statistics()[0].gauges["viewers"])
        each.events.raise_event("E_A")
        await expect(page.locator(".event")).to_have_count(1)
        await page.keyboard.press("p")
        each.events.raise_event("E_B")
        await expect(page.locator("#live button[aria-pressed]")).to_have_text("Resume · 1 new")
        await expect(page.locator(".event")).to_have_count(1)
        await page.keyboard.press("p")
        await expect(page.locator(".event").first).to_contain_text("E_B")
        await page.keyboard.press("/")
        await page.keyboard.type("E_B*")
        await page.keyboard.press("Enter")
        channel = each.web._desk._context.raising.event
        await until(lambda: channel("E_B").has_targets and not channel("E_A").has_targets)
        each.events.raise_event("E_A")
        each.events.raise_event("E_B", {"number": 1})
        await expect(page.locator(".event")).to_have_count(1)
        await expect(page.locator(".event")).to_contain_text('{"number":1}')


async def test_what_comes_from_events_and_clients_is_text(served, look, tmp_path):
    """A name, a parameter, a socket and a reason that are HTML make no element and run nothing."""
    name = f"E_{IMAGE}"
    journal = JournalPlugin(JournalOptions(str(tmp_path / "journal")))
    async with served({"title": IMAGE}, named=Named(), journal=journal) as each, look(each) as page:
        each.events.register_event(name, summary=IMAGE)
        socket = f"named:{IMAGE}"
        each.events.subscribe_event(name, socket, policy=Policy(dead_letter=True))
        each.events.subscribe_event(name, 'virtual:FAILOVER memory:a "' + socket + '"')
        each.memory.when("a", lambda batch: batch.fail(0, IMAGE) or True)
        each.events.raise_event(name, {IMAGE: IMAGE})
        await until(lambda: journal.letters.count == 1)
        await show(page, "2")
        await until(lambda: each.web.statistics()[0].gauges["viewers"])
        each.events.raise_event(name, {IMAGE: f"</pre>{IMAGE}"})
        places = {
            "1": [".flow .name", ".line .what"],
            "2": [".event .name", ".event .body"],
            "3": ["#subscribers td.socket"],
            "4": [".member .socket"],
            "5": ["#letters td.socket", "#letters td.strong"],
            "6": ["#events td.strong"],
        }
        for section, selectors in places.items():
            await show(page, section)
            for selector in selectors:
                await expect(page.locator(selector, has_text=IMAGE[:12]).first).to_be_visible()
        for section, row in {
            "2": ".event",
            "3": "#subscribers tbody tr",
            "5": "#letters tbody tr",
            "6": "#events tbody tr",
        }.items():
            await show(page, section)
            if section == "2":
                await until(lambda: each.web.statistics()[0].gauges["viewers"])
                each.events.raise_event(name, {IMAGE: IMAGE})
            await page.locator(row, has_text="onerror").first.click()
            await expect(page.locator("#detail")).to_contain_text("onerror")
            await page.keyboard.press("Escape")
        assert await page.evaluate("[...document.images].map((image) => image.getAttribute('src'))") == ["icon.svg"]
        assert await page.title() == f"{IMAGE} · evframe"


async def test_without_a_token_nothing_can_be_done(served, look):
    """The page shows all, and has no button that acts."""
    async with served() as each, look(each, expected=["403"]) as page:
        each.events.subscribe_event("E_A", GROUP)
        await each.events.raise_event_and_wait("E_A")
        await show(page, "4")
        await expect(page.locator(".member")).to_have_count(2)
        await expect(page.locator(".member button:visible")).to_have_count(0)
        await expect(page.locator("#unlock")).to_be_hidden()
        await expect(page.locator("#tab-letters")).to_be_hidden()
        status = await page.evaluate(
            "fetch('/api/act', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}).then((answer) => answer.status)"
        )
        assert status == 403


async def test_the_token_is_asked_for_and_kept_by_the_tab(served, look):
    """Nothing is shown before; a wrong one is refused; the right one is in no cookie and in no other tab."""
    async with served({"token": TOKEN}) as each:
        each.events.subscribe_event("E_A", GROUP)
        async with look(each, expected=["401"]) as page:
            dialog = page.get_by_role("dialog")
            await expect(dialog).to_be_visible()
            await page.keyboard.press("Escape")
            await page.keyboard.type("wrong")
            await page.keyboard.press("Enter")
            await expect(page.locator(".toast")).to_have_text("That is not the token.")
            await expect(page.locator("#headline")).to_contain_text("–")
            await page.keyboard.type(TOKEN)
            await page.keyboard.press("Enter")
            await expect(dialog).to_be_hidden()
            await expect(page.locator("#state")).to_have_text("all well")
            assert await page.evaluate("document.cookie") == ""
            assert TOKEN not in await page.evaluate("JSON.stringify(localStorage)")
            assert await page.evaluate("sessionStorage.getItem('evframe-token /')") == TOKEN
            await page.reload()
            await expect(page.locator("#state")).to_have_text("all well")
            await expect(page.locator("#unlock")).to_have_text("Lock")
            await page.locator("#unlock").click()
            await expect(dialog).to_be_visible()
            assert await page.evaluate("sessionStorage.length") == 0


async def test_a_member_is_disabled_and_enabled(served, look):
    """The page asks before it disables one; the next event goes to the other member."""
    async with served({"token": TOKEN, "read_without_token": True}) as each, look(each) as page:
        each.events.subscribe_event("E_A", GROUP)
        await each.events.raise_event_and_wait("E_A")
        await show(page, "4")
        first = page.locator(".member").first
        await expect(first).to_contain_text("healthy")
        await expect(first.locator("button")).to_be_hidden()
        await page.locator("#unlock").click()
        await page.keyboard.type(TOKEN)
        await page.keyboard.press("Enter")
        await first.get_by_role("button", name="Disable memory:first").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await first.get_by_role("button", name="Disable memory:first").click()
        await page.get_by_role("dialog").get_by_role("button", name="Disable").click()
        await expect(first).to_contain_text("disabled")
        await each.events.raise_event_and_wait("E_A")
        assert [len(each.memory.delivered[name]) for name in ("first", "second")] == [1, 1]
        await first.get_by_role("button", name="Enable memory:first").click()
        await expect(first).to_contain_text("healthy")
        await each.events.raise_event_and_wait("E_A")
        assert len(each.memory.delivered["first"]) == 2
        assert each.web.statistics()[0].counters["actions"] == 2


async def test_dead_letters_are_shown_replayed_and_dropped(served, look, tmp_path):
    """One is replayed from its panel, others are chosen and dropped; the page asks before each."""
    journal = JournalPlugin(JournalOptions(str(tmp_path / "journal")))
    async with served({"token": TOKEN}, journal=journal) as each, look(each, expected=["401"]) as page:
        each.memory.when("a", lambda batch: [batch.fail(index, "odd") for index in range(len(batch.events))] and True)
        each.events.subscribe_event("E_A", "memory:a", policy=Policy(dead_letter=True))
        for number in range(4):
            each.events.raise_event("E_A", {"number": number})
        await until(lambda: journal.letters.count == 4)
        await page.get_by_role("dialog").wait_for()
        await page.keyboard.type(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await show(page, "5")
        rows = page.locator("#letters tbody tr")
        await expect(rows).to_have_count(4)
        await rows.nth(1).click()
        detail = page.locator("#detail")
        await expect(detail.locator("pre")).to_contain_text('"number": 1')
        await expect(detail).to_contain_text("odd")
        each.memory.when("a", None)
        await detail.get_by_role("button", name="Replay").click()
        await page.get_by_role("dialog").get_by_role("button", name="Replay").click()
        await expect(page.locator(".replays")).to_contain_text("1 delivered, 0 failed, 0 left")
        await expect(rows).to_have_count(3)
        assert [event.params for event in each.memory.delivered["a"]] == [{"number": 1}]
        await rows.nth(0).locator("input").check()
        await rows.nth(1).locator("input").check()
        await page.get_by_role("button", name="Drop 2 chosen").click()
        await page.get_by_role("dialog").get_by_role("button", name="Drop").click()
        await expect(rows).to_have_count(1)
        await expect(page.locator(".toast", has_text="2 dropped")).to_be_visible()
        await page.locator("#letters input[name=reason]").fill("none")
        await page.keyboard.press("Enter")
        await expect(page.locator("#letters .empty")).to_have_text("Nothing matches the filter.")


async def test_a_thousand_subscribers_are_sorted_filtered_and_opened(served, look):
    """The table has a page of them; the filter and the order are the gateway's; the arrows move between rows."""
    async with served() as each:
        for number in range(1000):
            each.events.subscribe_event("E_A", f"memory:n{number:03}", 600)
        async with look(each) as page:
            await show(page, "3")
            table = page.locator("#subscribers")
            await expect(table.locator(".found")).to_have_text("1–50 of 1,000")
            await expect(table.locator("tbody tr")).to_have_count(50)
            await table.get_by_role("button", name="Socket").click()
            await table.get_by_role("button", name="Socket").click()
            await expect(table.locator("tbody tr").first).to_contain_text("memory:n999")
            await table.get_by_role("button", name="Next").click()
            await expect(table.locator("tbody tr").first).to_contain_text("memory:n949")
            await page.keyboard.press("/")
            await page.keyboard.type("n12")
            await expect(table.locator(".found")).to_have_text("10 of 1,000 match")
            await table.locator("tbody tr").first.focus()
            await page.keyboard.press("ArrowDown")
            await expect(table.locator("tbody tr").nth(1)).to_be_focused()
            await page.keyboard.press("Enter")
            await expect(page.locator("#detail h2")).to_have_text("memory:n128")
            await expect(page.locator("#detail")).to_contain_text("9 min")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_overflows_on_a_phone(served, look, tmp_path, scheme):
    """Every section is as wide as the screen, with long names, too; the colours are those of the system."""
    name = "E_" + "LONG_NAME_" * 6
    journal = JournalPlugin(JournalOptions(str(tmp_path / "journal")))
    async with served({"title": "a-gateway-with-a-long-name.and.a.domain.example"}, journal=journal) as each:
        each.events.register_event(name)
        socket = "memory:" + "x" * 120
        each.memory.when("x" * 120, lambda batch: batch.fail(0, "y" * 60) or True)
        each.events.subscribe_event(name, socket, policy=Policy(dead_letter=True))
        each.events.subscribe_event(name, f"virtual:FAILOVER memory:a {socket}")
        each.events.raise_event(name, {"text": "z" * 500})
        await until(lambda: journal.letters.count)
        async with look(each, color_scheme=scheme, **PHONE) as page:
            await expect(page.locator("#state")).to_contain_text("failing")
            for section, name_of in SECTIONS.items():
                await show(page, section)
                if section == "2":
                    await until(lambda: each.web.statistics()[0].gauges["viewers"])
                    each.events.raise_event(name, {"text": "z" * 500})
                    await page.locator(".event").first.click()
                if section in {"3", "5"}:
                    await page.locator(f"#{name_of} tbody tr").first.click()
                    await expect(page.locator("#detail")).to_be_visible()
                assert await page.evaluate("document.documentElement.scrollWidth") <= 390, section
                outside = "[...document.querySelectorAll('main *, #detail *')].filter((each) => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('thead, svg')).map((each) => each.outerHTML.slice(0, 80))"
                assert await page.evaluate(outside) == [], section
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(244, 246, 249)", "dark": "rgb(14, 18, 23)"}[scheme]


async def test_the_keyboard_and_the_colours(served, look):
    """The shortcuts are listed; a choice of colours stays when the page is loaded again."""
    async with served() as each, look(each, color_scheme="light") as page:
        await expect(page.locator("#state")).to_have_text("all well")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog")).to_contain_text("pause or resume live events")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await page.keyboard.press("t")
        await page.keyboard.press("t")
        dark = "matchMedia('(min-width: 0)').matches && getComputedStyle(document.body).backgroundColor"
        assert await page.evaluate(dark) == "rgb(14, 18, 23)"
        await page.reload()
        await expect(page.locator("#state")).to_have_text("all well")
        assert await page.evaluate(dark) == "rgb(14, 18, 23)"
        tabs = page.get_by_role("tab")
        await tabs.first.focus()
        await page.keyboard.press("ArrowRight")
        await expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
        await expect(tabs.nth(1)).to_be_focused()
        await page.keyboard.press("Shift+Tab")
        assert await page.evaluate("document.activeElement.id") == "help-open"
        names = await page.evaluate(
            "[...document.querySelectorAll('button, input')].filter((each) => !each.textContent.trim() && !each.getAttribute('aria-label')).map((each) => each.outerHTML)"
        )
        assert names == [], "every control has a name"


async def test_a_gateway_that_is_gone_is_shown(served, look):
    """The page says so, and shows the state again when the gateway is back at the same place."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
    async with served({"bind": bind}) as each, look(each, expected=["ERR_"]) as page:
        await expect(page.locator("#state")).to_have_text("all well")
        site = each.web._site
        await site.close()
        await expect(page.locator("#state")).to_have_text("not connected")
        await expect(page.locator("body.stale")).to_be_visible()
        site.open(site.address)
        await expect(page.locator("#state")).to_have_text("all well", timeout=30_000)

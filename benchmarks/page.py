"""The page of evframe-web: how soon an event is shown, and what pages cost the gateway.

usage: python benchmarks/page.py [part]… with the parts raises, latency, subscribers, viewers and long

It needs Debian's chromium and playwright. The browser and the gateway share the processors.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from beside import EVENTS_EACH, ROUNDS, compare
from evframe_mi import Management
from evframe_web import Options, Web
from playwright.async_api import Page, async_playwright
from scrape import quantile, raise_for

import evframe
from evframe.cli.gateway import run_loop, set_up_collector
from evframe.testing import MemoryTransport

SHOWN = """() => {
  window.seen = [];
  new MutationObserver((changes) => {
    for (const added of changes.flatMap((change) => [...change.addedNodes])) {
      window.seen.push([added.querySelector(".body").textContent, Date.now() / 1000]);
    }
  }).observe(document.querySelector(".events"), {childList: true});
}"""


def gateway(**options: object) -> tuple[evframe.EventInterface, Web]:
    """Return an interface with a page."""
    web = Web(Options(**{"bind": "127.0.0.1:0", **options}))
    plugins = {"memory": MemoryTransport(), "mi": Management(), "web": web}
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TIMER")
    return events, web


@asynccontextmanager
async def browser_at(web: Web, section: str) -> AsyncIterator[Page]:
    """Yield a page that shows a section."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{web.address[1]}/#{section}")
        await page.wait_for_selector(f"#{section}")
        yield page
        await browser.close()


async def latency(count: int = 200) -> None:
    """Print how long after the raise an event is on the page, as the browser's clock has it."""
    events, web = gateway()
    async with events:
        set_up_collector()
        async with browser_at(web, "live") as page:
            await asyncio.sleep(2)
            await page.evaluate(SHOWN)
            raised = []
            for number in range(count):
                raised.append(time.time())
                events.raise_event("E_TIMER", {"number": number})
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            seen = await page.evaluate("window.seen")
    shown = {int(text.split(":")[1].rstrip("}")): at for text, at in seen}
    late = [(shown[number] - raised[number]) * 1000 for number in shown]
    print(
        f"raised to shown, {len(late)} of {count} events: median {statistics.median(late):.0f} ms,"
        f" p99 {quantile(late, 0.99):.0f} ms, longest {max(late):.0f} ms"
    )


async def poll(url: str, seconds: float) -> list[float]:
    """Ask as an open page does; return the milliseconds of the answers."""
    found = []
    async with aiohttp.ClientSession() as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for path in ("/api/state", "/api/table?name=subscribers&sort=queued&order=descending"):
                began = time.perf_counter()
                async with client.get(url + path) as response:
                    await response.read()
                found.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(1)
    return found


async def subscribers(count: int = 10_000, seconds: float = 10) -> None:
    """Print what an open page costs with many subscribers, and how late events are raised meanwhile."""
    events, web = gateway()
    for number in range(100):
        events.register_event(f"E_{number}")
    for number in range(count):
        events.subscribe_event(f"E_{number % 100}", f"memory:subscriber{number:05}at10x0x0x1port5060")
    async with events:
        set_up_collector()
        await asyncio.sleep(1)
        print(f"{count} subscribers, no page: {await raise_for(events, seconds)}")
        url = f"http://127.0.0.1:{web.address[1]}"
        polling = asyncio.create_task(poll(url, seconds))
        used = time.process_time()
        late = await raise_for(events, seconds)
        answers = await polling
        shots = web.statistics()[0].counters["snapshots"]
        print(
            f"{count} subscribers, a page that polls: {late}; answers median {statistics.median(answers):.0f} ms,"
            f" longest {max(answers):.0f} ms; {shots} snapshots, {time.process_time() - used:.1f} s of the processor"
        )


async def read(port: int, counts: list[int], index: int) -> None:
    """Read a stream, and count its events."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    rest = b""
    while data := await reader.read(1 << 18):
        counts[index] += (rest + data).count(b"event: raised")
        rest = data[-12:]


async def viewers(count: int = 100, seconds: float = 30) -> None:
    """Print what each of many pages gets while one of them has stopped, and how the memory of the process grows."""
    events, web = gateway(events_per_s=10_000)
    async with events, AsyncExitStack() as stack:
        set_up_collector()
        port, counts = web.address[1], [0] * (count - 1)
        reading = [asyncio.create_task(read(port, counts, index)) for index in range(count - 1)]
        stopped = stack.enter_context(socket.socket())
        stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stopped.connect(("127.0.0.1", port))
        stopped.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while web.statistics()[0].gauges["viewers"] < count:
            await asyncio.sleep(0.05)
        raised, sizes = 0, []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(5):
                events.raise_event("E_TIMER", {"number": raised, "text": "x" * 200})
                raised += 1
            await asyncio.sleep(0.02)
            sizes.append((resident(), web.statistics()[0].gauges["waiting_bytes"]))
        await asyncio.sleep(1)
        lost = web.statistics()[0].counters["lost"]
        for task in reading:
            task.cancel()
        middle = len(sizes) // 2
        print(
            f"{raised} events to {count - 1} pages and one that has stopped: the others got {min(counts)} to {max(counts)},"
            f" {lost} lost by the stopped one; waiting at most {max(each for _, each in sizes) / 1024:.0f} KiB;"
            f" the process had {sizes[middle][0]:.1f} MiB half-way, {sizes[-1][0]:.1f} MiB at the end"
        )


def resident() -> float:
    """Return the memory of this process in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / (1 << 20)


async def long(count: int = 400_000) -> None:
    """Print how a browser's memory grows with what hours bring: many events, and a look at each section."""
    events, web = gateway(events_per_s=1_000_000)
    for number in range(200):
        events.subscribe_event("E_TIMER", f"memory:n{number}")
    async with events:
        set_up_collector()
        async with browser_at(web, "live") as page:
            await asyncio.sleep(2)
            devtools = await page.context.new_cdp_session(page)
            for part in range(5):
                if part:
                    for number in range(0, count // 4, 50):
                        for _ in range(50):
                            events.raise_event("E_TIMER", {"number": number, "text": "x" * 100})
                        await asyncio.sleep(0.01)
                for key in "134562":
                    await page.keyboard.press(key)
                    await asyncio.sleep(1.2)
                await devtools.send("HeapProfiler.collectGarbage")
                found = await devtools.send("Runtime.getHeapUsage")
                nodes = await page.evaluate("document.querySelectorAll('*').length")
                print(
                    f"after {part * count // 4} events: heap {found['usedSize'] / (1 << 20):.1f} MiB, {nodes} elements"
                )


async def main(parts: list[str]) -> None:
    """Print the parts that are asked for."""
    print(f"{os.cpu_count()} processors, {EVENTS_EACH} events in each of {ROUNDS} rounds")
    if "raises" in parts:
        for in_a_turn in (1000, 50, 1):
            await compare(in_a_turn, "web", lambda: Web(Options(bind="127.0.0.1:0")), mi=Management)
    for name, part in (("latency", latency), ("subscribers", subscribers), ("viewers", viewers), ("long", long)):
        if name in parts:
            await part()


if __name__ == "__main__":
    run_loop(main(sys.argv[1:] or ["raises", "latency", "subscribers", "viewers", "long"]))

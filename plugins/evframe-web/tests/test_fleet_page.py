"""The section of the page about a fleet, with a real Kafka and another gateway."""

import json
import os
import subprocess
import sys
import uuid
from contextlib import AsyncExitStack

import pytest
from evframe_fleet import FleetPlugin, Options
from page_sections import FLEET, show
from playwright.async_api import expect

import evframe

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
MEMBER = """
import asyncio, json, sys
import evframe
from evframe_fleet import FleetPlugin, Options

async def main():
    async with evframe.EventInterface(plugins={"fleet": FleetPlugin(Options(**json.loads(sys.argv[1])))}):
        await asyncio.Event().wait()

asyncio.run(main())
"""


def is_away(_):
    raise evframe.Unavailable("refused")


async def test_a_fleet_is_shown_with_its_members_and_what_waits(served, look, kafka):
    """Who owns what, a gateway that was killed, and the subscribers that are behind; see `fleet:status`."""
    run = uuid.uuid4().hex
    options = {
        "brokers": f"127.0.0.1:{kafka.port}",
        "group_id": run,
        "leases_topic": f"leases.{run}",
        "events_topic": f"events.{run}",
        "replication_factor": 1,
        "partitions": 8,
        "session_timeout_ms": 1000,
        "heartbeat_interval_ms": 100,
        "margin_ms": 200,
    }
    other = subprocess.Popen(
        [sys.executable, "-c", MEMBER, json.dumps({**options, "name": "there"})],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with AsyncExitStack() as stack:
        try:
            each = await stack.enter_async_context(served(fleet=FleetPlugin(Options(**options, name="here"))))
            page = await stack.enter_async_context(look(each))
            each.memory.when("gone", is_away)
            each.events.subscribe_event("E_A", "memory:gone", 100)
            each.events.raise_event("E_A")
            await show(page, FLEET)
            members = page.locator("#fleet table.members tbody tr")
            await expect(members).to_have_count(2)
            await expect(members.first).to_contain_text("here")
            await expect(members.nth(1).locator("td.wide")).to_have_text("1, 3, 5, 7")
            await expect(page.locator("#fleet")).to_contain_text("None: each has an owner, and nothing waits.")
        finally:
            other.kill()
            other.wait()
        await expect(members.nth(1)).to_contain_text("dead")
        await expect(members.first.locator("td.wide")).to_have_text("0-7")
        await expect(page.locator("#fleet table.behind tbody tr td").first).to_have_text("memory:gone")


async def test_without_a_fleet_there_is_no_such_section(served, look):
    """The plugin that is loaded and has no brokers is part of none."""
    async with served(fleet=FleetPlugin(Options())) as each, look(each) as page:
        await expect(page.locator("#state")).to_have_text("all well")
        await expect(page.locator("#tab-fleet")).to_be_hidden()
        await expect(page.locator("#tab-letters")).to_be_hidden()
        await page.keyboard.press(FLEET)
        await expect(page.locator("#overview")).to_be_visible()

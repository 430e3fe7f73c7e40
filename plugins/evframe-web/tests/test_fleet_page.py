"""The section of the page about a fleet, with a real Kafka and another gateway."""

import json
import time
import uuid

import pytest
from aiokafka import AIOKafkaProducer
from evframe_fleet import FleetPlugin, Options
from page_sections import FLEET, show
from playwright.async_api import expect

import evframe

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
PATIENCE_MS = 30_000  # a group divides its partitions in a second, and in several beside other tests


def is_away(_):
    raise evframe.Unavailable("refused")


async def test_a_fleet_is_shown_with_its_members_and_what_waits(served, look, kafka):
    """Who owns what, a gateway that was killed a minute ago, and the subscribers that are behind; see `fleet:status`."""
    run = uuid.uuid4().hex
    options = {
        "brokers": f"127.0.0.1:{kafka.port}",
        "group_id": run,
        "leases_topic": f"leases.{run}",
        "events_topic": f"events.{run}",
        "replication_factor": 1,
        "partitions": 8,
        "heartbeat_interval_ms": 100,
    }
    there = evframe.EventInterface(plugins={"fleet": FleetPlugin(Options(**options, name="there"))})
    async with there, AIOKafkaProducer(bootstrap_servers=options["brokers"]) as producer:
        record = {"name": "killed", "host": "h", "pid": 7, "at": time.time() - 60, "partitions": [0]}
        await producer.send_and_wait(options["leases_topic"], json.dumps(record).encode(), key=b'["member","killed"]')
        async with served(fleet=FleetPlugin(Options(**options, name="here"))) as each, look(each) as page:
            each.memory.when("gone", is_away)
            each.events.subscribe_event("E_A", "memory:gone", 100)
            each.events.raise_event("E_A")
            await show(page, FLEET)
            members = page.locator("#fleet table.members tbody tr")
            expected = [("alive", "0, 2, 4, 6"), ("dead", ""), ("alive", "1, 3, 5, 7")]  # by their names
            for row, (state, partitions) in enumerate(expected):
                await expect(members.nth(row).locator("td.wide")).to_have_text(partitions, timeout=PATIENCE_MS)
                await expect(members.nth(row).locator("td.state")).to_have_text(state, timeout=PATIENCE_MS)
            await expect(members.nth(1)).to_contain_text("killed")
            behind = page.locator("#fleet table.behind tbody td").first
            await expect(behind).to_have_text("memory:gone", timeout=PATIENCE_MS)
            await expect(page.locator("#fleet")).to_contain_text(
                "None: each has an owner, and nothing waits.", timeout=PATIENCE_MS
            )


async def test_without_a_fleet_there_is_no_such_section(served, look):
    """The plugin that is loaded and has no brokers is part of none."""
    async with served(fleet=FleetPlugin(Options())) as each, look(each) as page:
        await expect(page.locator("#state")).to_have_text("all well", timeout=PATIENCE_MS)
        await expect(page.locator("#tab-fleet")).to_be_hidden()
        await page.keyboard.press(FLEET)
        await expect(page.locator("#overview")).to_be_visible()

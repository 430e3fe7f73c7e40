"""The numbers: what a scrape has, that it is valid, and that other places show the same."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from evframe_metrics import Metrics, Options
from evframe_metrics.catalog import DETAIL, METRICS
from evframe_mi import Management
from evframe_mi.testing import management
from evframe_timing import slices
from evframe_virtual import VirtualTransport
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

import evframe
from evframe.plugin import StatisticGroup
from evframe.testing import MemorySocket, MemoryTransport, until

OPEN = "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"


class NamedTransport(MemoryTransport):
    """Takes sockets with any text, of which the part before an @ is a secret."""

    schemes = ("named",)

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return NamedSocket(rest) if scheme == "named" else None


class NamedSocket(MemorySocket):
    @property
    def canonical(self):
        return f"named:{self.name.rpartition('@')[2]}"


class Site:
    """An interface with the plugin, and a client of it."""

    def __init__(self, **options):
        self.memory = MemoryTransport()
        self.metrics = Metrics(Options(bind="127.0.0.1:0", **options))
        self.events = evframe.EventInterface(
            plugins={
                "mi": Management(),
                "memory": self.memory,
                "named": NamedTransport(),
                "virtual": VirtualTransport(),
                "metrics": self.metrics,
            }
        )
        self.events.register_event("E_A")

    async def get(self, path="/metrics", **headers):
        """Return status, type and text."""
        url = f"http://127.0.0.1:{self.metrics.address[1]}{path}"
        async with aiohttp.ClientSession() as client, client.get(url, headers=headers) as response:
            return response.status, response.headers["Content-Type"], await response.text()

    async def scrape(self):
        """Return the values by name and labels."""
        text = (await self.get(Accept=OPEN))[2]
        return values(openmetrics.text_string_to_metric_families(text))

    def statistics(self, *wanted):
        request = {"jsonrpc": "2.0", "id": 1, "method": "get_statistics", "params": [list(wanted)]}
        return json.loads(management(self.events).handle(json.dumps(request).encode()))["result"]


def values(families):
    return {(sample.name, *sample.labels.values()): sample.value for each in families for sample in each.samples}


@asynccontextmanager
async def running(**options):
    site = Site(**options)
    async with site.events:
        yield site


STRANGE = 'E "quoted" \\ back\nline \udcff'


async def test_both_formats_are_valid_and_as_the_table_says():
    """Each family has the kind, the help and the labels of the table, whatever texts events and sockets have."""
    async with running(detail=True) as site:
        site.events.register_event(STRANGE)
        for name in ("plain", 'with "quotes" \\', "bytes\udcff", "bytes\udcfe"):
            site.events.subscribe_event(STRANGE, f"named:{name}")
        site.memory.when("b", lambda batch: batch.fail(0, 'reason "x"') or True)
        site.events.subscribe_event("E_A", "memory:b")
        await site.events.raise_event_and_wait(STRANGE, [1])
        await site.events.raise_event_and_wait("E_A")
        status, kind, text = await site.get(Accept=OPEN)
        assert (status, kind) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        status, kind, plain = await site.get()
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")

    families = list(openmetrics.text_string_to_metric_families(text))
    known = {metric.family: metric for metric in METRICS}
    for family in families:
        metric = known[family.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        for sample in family.samples:
            assert tuple(sample.labels.keys() - {"le"}) == () or set(sample.labels) - {"le"} == set(metric.labels)
    found = values(families)
    assert found["evframe_events_raised_total", STRANGE.replace("\udcff", "?")] == 1
    assert found["evframe_subscriber_deliveries_total", 'named:with "quotes" \\', "delivered"] == 1
    assert found["evframe_subscriber_deliveries_total", "named:bytes?", "delivered"] == 2  # one text in listings
    assert found["evframe_deliveries_total", "memory", "failed", 'reason "x"'] == 1
    # A scrape counts itself in the numbers of no family: the plain format has the same values.
    volatile = {"evframe_queue_oldest_age_seconds"}
    assert {key: value for key, value in values(parse_plain(plain)).items() if key[0] not in volatile} == {
        key: value for key, value in found.items() if key[0] not in volatile
    }


async def test_statistics_show_the_same_numbers():
    """`get_statistics` has what a scrape has, and the sums of the group `evi` are those of the labels."""
    async with running() as site:
        site.events.subscribe_event("E_A", "memory:a")
        site.memory.when("b", lambda batch: batch.fail(0, "odd") or True)
        site.events.subscribe_event("E_A", "memory:b")
        for _ in range(3):
            await site.events.raise_event_and_wait("E_A")
        site.events.unsubscribe_event("E_A", "memory:b")
        await until(lambda: "b" in site.memory.released)
        found = await site.scrape()
        shown = site.statistics("evi:", "events:", "deliveries:", "batches:", "metrics:")

    assert found["evframe_events_raised_total", "E_A"] == shown["events:E_A"] == 3
    assert found["evframe_deliveries_total", "memory", "delivered", ""] == shown["deliveries:memory_delivered"] == 3
    assert found["evframe_deliveries_total", "memory", "failed", "odd"] == shown["deliveries:memory_failed_odd"] == 3
    assert (shown["evi:delivered"], shown["evi:failed"]) == (3, 3)
    assert found["evframe_queue_events", "memory"] == shown["deliveries:memory_queued"] == shown["evi:queued"] == 0
    assert found["evframe_delivery_seconds_count", "memory"] == shown["batches:memory"] == 6
    assert found["evframe_subscribers", "memory"] == shown["evi:subscribers"] == 1
    assert found["evframe_leases", "E_A"] == 1
    assert (shown["metrics:scrapes"], shown["metrics:refused"]) == (1, 0)


async def test_what_waits_has_an_age_and_what_is_away_is_counted():
    """While a subscriber is away, its events wait, the oldest has an age, and it counts as away."""

    def away(_):
        raise evframe.Unavailable("refused")

    async with running(detail=True) as site:
        site.memory.when("a", away)
        site.events.subscribe_event("E_A", "memory:a")
        site.events.raise_event("E_A")
        await until(lambda: site.events.statistics[0].away)
        await asyncio.sleep(0.01)
        found = await site.scrape()
        assert found["evframe_queue_events", "memory"] == found["evframe_subscriber_queue_events", "memory:a"] == 1
        assert found["evframe_queue_oldest_age_seconds", "memory"] >= 0.01
        assert found["evframe_subscribers_away", "memory"] == found["evframe_subscriber_away", "memory:a"] == 1
        assert ("evframe_delivery_seconds_count", "memory") not in found  # the event has no outcome yet
        site.memory.when("a", None)
        await until(lambda: site.events.statistics[0].delivered)
        found = await site.scrape()
        assert found["evframe_queue_oldest_age_seconds", "memory"] == found["evframe_subscribers_away", "memory"] == 0
        assert found["evframe_delivery_seconds_count", "memory"] == 1
        assert found["evframe_delivery_seconds_sum", "memory"] >= 0.01  # from the raise, whatever the attempts


async def test_a_batch_is_one_observation():
    """A thousand events in a turn are few observations, and the last bucket has all of them."""
    async with running() as site:
        site.events.subscribe_event("E_A", "memory:a")
        for _ in range(1000):
            site.events.raise_event("E_A")
        await until(lambda: site.events.statistics[0].delivered == 1000)
        found = await site.scrape()
    assert 1 <= found["evframe_delivery_seconds_count", "memory"] <= 3
    assert (
        found["evframe_delivery_seconds_bucket", "memory", "+Inf"] == found["evframe_delivery_seconds_count", "memory"]
    )


async def test_detail_has_a_bound_and_other_never_falls():
    """The first subscribers have series; the others are one, whose counters grow when they end or find room."""
    async with running(detail=True, max_series=10) as site:
        for name in "abcd":
            site.events.subscribe_event("E_A", f"memory:{name}")
        await site.events.raise_event_and_wait("E_A")
        found = await site.scrape()
        name = "evframe_subscriber_deliveries_total"
        assert {key[1] for key in found if key[0] == name} == {"memory:a", "memory:b", "other"}
        assert (found[name, "other", "delivered"], found["evframe_subscribers_in_other",]) == (2, 2)
        site.events.unsubscribe_event("E_A", "memory:a")  # there is room now, which is for new ones
        site.events.unsubscribe_event("E_A", "memory:d")
        await until(lambda: {"a", "d"} <= {*site.memory.released})
        await site.events.raise_event_and_wait("E_A")
        found = await site.scrape()
        assert {key[1] for key in found if key[0] == name} == {"memory:b", "other"}
        assert (found[name, "other", "delivered"], found["evframe_subscribers_in_other",]) == (3, 1)
        site.events.subscribe_event("E_A", "memory:e")
        await site.events.raise_event_and_wait("E_A")
        found = await site.scrape()
        assert {key[1] for key in found if key[0] == name} == {"memory:b", "memory:e", "other"}
        assert (found[name, "memory:e", "delivered"], found[name, "other", "delivered"]) == (1, 4)
        assert site.statistics("metrics:subscribers_in_other") == {"metrics:subscribers_in_other": 1}


async def test_without_detail_no_subscriber_has_series():
    """The sums do not grow with the subscribers."""
    async with running() as site:
        for number in range(50):
            site.events.subscribe_event("E_A", f"memory:{number}")
        found = await site.scrape()
    assert not {key[0] for key in found} & {metric.name for metric in DETAIL}
    assert found["evframe_subscribers", "memory"] == 50


async def test_subscribers_with_one_text_share_series_that_never_fall():
    """Consumers with the same pattern have one text: the series has their sum, that of one that has ended too."""
    async with running(detail=True) as site, site.events.listen("E_A") as stream:
        async with site.events.listen("E_A") as other:
            site.events.raise_event("E_A")
            assert [(await anext(each)).name for each in (stream, other)] == ["E_A", "E_A"]
            await until(lambda: all(each.delivered for each in site.events.statistics[:2]))
            assert (await site.scrape())["evframe_subscriber_deliveries_total", "listen:E_A", "delivered"] == 2
        await until(lambda: len(site.events.statistics) == 2)
        assert (await site.scrape())["evframe_subscriber_deliveries_total", "listen:E_A", "delivered"] == 2


async def test_members_are_counted_by_their_combined_subscriber():
    """An event to a combined subscriber is one delivery, before and after its members end."""
    async with running(detail=True, max_series=0) as site:
        site.events.subscribe_event("E_A", "virtual:PARALLEL memory:a memory:b")
        await site.events.raise_event_and_wait("E_A")
        found = await site.scrape()
        assert found["evframe_subscriber_deliveries_total", "other", "delivered"] == 1
        site.events.unsubscribe_event("E_A", "virtual:PARALLEL memory:a memory:b")
        await until(lambda: {"a", "b"} <= {*site.memory.released})
        found = await site.scrape()
        assert found["evframe_deliveries_total", "virtual", "delivered", ""] == 1
        assert ("evframe_deliveries_total", "memory", "delivered", "") not in found
        assert found["evframe_subscriber_deliveries_total", "other", "delivered"] == 1
        assert site.statistics("evi:delivered") == {"evi:delivered": 1}


async def test_numbers_of_plugins_have_series():
    """Each statistic of a plugin has one, and those of the journal have names; the plugin's own are not repeated."""

    class Counts:
        @evframe.hookimpl
        def statistics(self):
            return [
                StatisticGroup("dead_letters", {"added": 5}, {"kept": 3, "bytes": 300}),
                StatisticGroup("journal", {}, {"on_disk": 2, "bytes": 4096}),
            ]

    async with running() as site:
        site.events.plugins.register(Counts(), "counts")
        found = await site.scrape()
    assert found["evframe_dead_letters",] == 3
    assert found["evframe_dead_letter_bytes",] == 300
    assert (found["evframe_journal_events",], found["evframe_journal_bytes",]) == (2, 4096)
    assert found["evframe_plugin_counts_total", "dead_letters", "added"] == 5
    assert not [key for key in found if key[0].startswith("evframe_plugin") and key[1] in {"events", "deliveries"}]


async def test_no_secret_is_in_a_label():
    """A label has the text of listings."""
    async with running(detail=True) as site:
        site.events.subscribe_event("E_A", "named:user:secret@peer")
        await site.events.raise_event_and_wait("E_A")
        text = (await site.get())[2]
    assert 'socket="named:peer"' in text
    assert "secret" not in text


async def test_many_subscribers_are_read_in_slices(monkeypatch):
    """The loop serves others after every few subscribers and lines, and one that ends meanwhile counts once."""
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    turns = []
    async with running(detail=True) as site:
        for number in range(1000):
            site.events.subscribe_event("E_A", f"memory:{number}")
        await site.events.raise_event_and_wait("E_A")

        async def disturb():
            while True:
                if site.events.statistics and len(turns) % 2 == 0:
                    site.events.unsubscribe_event("E_A", f"memory:{999 - len(turns)}")
                turns.append(None)
                await asyncio.sleep(0)

        scraping = asyncio.create_task(site.metrics._scrape(is_open=False))
        disturbing = asyncio.create_task(disturb())
        pieces = await scraping
        disturbing.cancel()
    found = values(parse_plain(b"".join(pieces).decode()))
    assert len(turns) >= 20
    assert found["evframe_deliveries_total", "memory", "delivered", ""] == 1000


@pytest.mark.parametrize("detail", [False, True])
async def test_scrapes_at_the_same_time_have_their_turns(detail):
    """Several clients at once each get a whole text."""
    async with running(detail=detail) as site:
        site.events.subscribe_event("E_A", "memory:a")
        texts = await asyncio.gather(*(site.get(Accept=OPEN) for _ in range(5)))
    assert all(text.endswith("# EOF\n") for _, _, text in texts)


async def test_without_delays_no_batch_is_observed():
    """The option `delays` decides, also at a reload, and one that is taken back changes nothing."""
    async with running(delays=False) as site:
        site.events.subscribe_event("E_A", "memory:a")
        key = "evframe_delivery_seconds_count", "memory"
        await site.events.raise_event_and_wait("E_A")
        assert key not in await site.scrape()
        take_back = site.metrics.reconfigure(Options(bind="127.0.0.1:0"))
        await site.events.raise_event_and_wait("E_A")
        assert (await site.scrape())[key] == 1
        take_back()
        await site.events.raise_event_and_wait("E_A")
        assert (await site.scrape())[key] == 1

"""Acknowledgements: a source of events is answered when each is delivered or on disk for what is kept, not earlier."""

import json
import sqlite3
import time
from contextlib import closing

import pytest
from evframe_client import Client
from evframe_ingest import Found, Intake, fate_of
from evframe_journal import JournalPlugin, Options
from evframe_mi import Management, ManagementOptions, evi
from evframe_mi import Options as MiOptions
from evframe_mi.testing import management
from evframe_opensips.intake import InstanceIntake

import evframe
from evframe.config import Config, CoreOptions
from evframe.plugin import STORED, Policy
from evframe.testing import MemoryTransport, until


class Gateway:
    """An interface with a peer that is away, one that takes all and one that refuses, of which any may be kept."""

    def __init__(self, path):
        self.path = path
        self.memory = MemoryTransport()

        def away(_):
            raise evframe.Unavailable("refused")

        self.memory.when("away", away)
        self.memory.when(
            "refusing", lambda batch: [batch.fail(i, "rejected") for i in range(len(batch.events))] and True
        )
        mi = Management(MiOptions(ManagementOptions(schemes=["*"])))
        plugins = {"mi": mi, "memory": self.memory, "journal": JournalPlugin(Options(str(path)))}
        self.events = evframe.EventInterface(Config(core=CoreOptions(drain_timeout_s=0.1)), plugins=plugins)
        self.events.register_event("E_A")
        self.context = self.events.composition.loaded["memory"].context

    def subscribe(self, name, *, is_kept):
        self.events.subscribe_event("E_A", f"memory:{name}", policy=Policy(keep="disk" if is_kept else "memory"))

    def kept(self):
        """Return how many events are on disk."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return database.execute("SELECT coalesce(sum(count), 0) FROM frames").fetchone()[0]

    async def ask(self, **params):
        request = {"jsonrpc": "2.0", "id": 1, "method": "raise_event", "params": params}
        return json.loads(await management(self.events).answer(json.dumps(request).encode(), "client"))


@pytest.fixture
async def gateway(tmp_path):
    made = Gateway(tmp_path / "journal")
    async with made.events:
        yield made


def request(number):
    return b'{"jsonrpc":"2.0","method":"E_A","params":{"n":%d},"id":%d}' % (number, number)


async def test_the_bridge_answers_when_events_are_stored(gateway):
    """A reliable connection gets one write with the replies to a payload, when all of its events are on disk."""
    gateway.subscribe("away", is_kept=True)
    gateway.subscribe("other", is_kept=False)
    intake = InstanceIntake(gateway.context, "one", "", time.monotonic)
    intake.expected = {"E_A"}
    answers = []
    intake.take(
        request(1) + request(2) + b'{"jsonrpc":"2.0","method":"E_B","id":3}',
        lambda reply: answers.append((reply, gateway.kept())),
    )
    assert answers == []
    await until(lambda: answers)
    [(reply, kept)] = answers
    assert kept == 2
    assert [json.loads(line).get("result") for line in reply.decode().replace("}{", "}\n{").splitlines()] == [
        "OK",
        "OK",
        None,
    ]


async def test_the_bridge_waits_for_no_subscriber_in_memory(gateway):
    """A peer that is away and not kept holds no reply up, and neither does an event without subscribers."""
    intake = InstanceIntake(gateway.context, "one", "", time.monotonic)
    intake.expected = {"E_A"}
    answers = []
    intake.take(request(1), answers.append)
    gateway.subscribe("away", is_kept=False)
    intake.take(request(2), answers.append)
    assert [json.loads(answer)["id"] for answer in answers] == [1, 2]


async def test_consumers_acknowledge_what_is_stored(gateway):
    """The message of a queue has the fate of a delivered one when its event is on disk."""
    gateway.subscribe("away", is_kept=True)
    intake = Intake(gateway.context, evi.log, "an event was not raised", {})
    fates = []
    intake.take_found(lambda: Found("E_A", {"n": 1}), lambda reasons: fates.append((reasons, gateway.kept())))
    await until(lambda: fates)
    assert fates == [([STORED], 1)]
    assert fate_of(fates[0][0]) == "delivered"


def test_a_client_gets_the_answer_that_an_event_still_waits():
    """The gateway answers a raise with `until` before the time of the client is over."""
    assert Client("http://127.0.0.1:8888/mi").timeout_s > evi._WAIT_S


async def test_a_client_waits_until_its_event_is_stored(gateway, monkeypatch):
    """`raise_event` with `until` is answered when the event is on disk or delivered, or with the reason why not."""
    gateway.subscribe("away", is_kept=True)
    assert (await gateway.ask(event="E_A", params={"n": 1}, until="stored"))["result"] == "OK"
    assert gateway.kept() == 1
    with monkeypatch.context() as short:
        short.setattr(evi, "_WAIT_S", 0.05)
        error = (await gateway.ask(event="E_A", params={"n": 2}, until="delivered"))["error"]
    assert (error["code"], error["message"], error["data"]) == (500, "Event not delivered", "pending")
    assert (await gateway.ask(event="E_A", params={"n": 3}))["result"] == "OK"
    gateway.subscribe("refusing", is_kept=False)
    error = (await gateway.ask(event="E_A", json={"n": 4}, until="stored"))["error"]
    assert (error["code"], error["data"]) == (500, "rejected")
    error = (await gateway.ask(event="E_A", until="sent"))["error"]
    assert (error["code"], error["data"]) == (-32602, "until: expected 'delivered' or 'stored', got 'sent'")

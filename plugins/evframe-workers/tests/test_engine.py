"""The deliveries of a worker: each event has one outcome, whatever its transport does."""

import asyncio
import random

import attrs
import pytest
from evframe_policies import PoliciesPlugin
from evframe_shards.frames import Frame
from evframe_workers import WorkersPlugin, messages
from evframe_workers.deliveries import Deliveries
from evframe_workers.engine import InterfaceEngine

import evframe
from evframe.config import CoreOptions
from evframe.testing import until


@attrs.frozen
class Socket:
    canonical: str
    expires = True


class Fickle:
    """A transport that does what a transport may do, at random; it notes what it says of each event."""

    schemes = ("fickle",)

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.said = {}  # by socket and number: None when it is delivered, or the reason
        self.limits = evframe.plugin.Limits(batch_events=5, in_flight=self.random.choice([0, 20]))

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Socket(f"fickle:{rest}") if scheme == "fickle" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        if self.random.random() < 0.3:
            return self.later(socket, batch)
        return self.now(socket, batch)

    async def later(self, socket, batch):
        await asyncio.sleep(self.random.choice([0, 0.001]))
        self.now(socket, batch)

    def now(self, socket, batch):
        choice, events = self.random.random(), batch.events
        if choice < 0.2 and events:
            index = self.random.randrange(len(events))
            batch.fail(index, "rejected")
            self.say(socket, [events[index]], "rejected")
            self.say(socket, [event for at, event in enumerate(events) if at != index], None)
        elif choice < 0.3:
            self.say(socket, events, "broken")
            raise evframe.Rejected("broken")
        elif choice < 0.45 and events:
            done = self.random.randrange(len(events))
            self.say(socket, events[:done], None)
            if done + 1 < len(events):
                batch.confirm(len(events) - 1)
                self.say(socket, events[-1:], None)
            raise evframe.Unavailable("away", done=done)
        else:
            self.say(socket, events, None)
        return True

    def say(self, socket, events, reason):
        for event in events:
            key = socket.canonical, event.get("n")
            assert key not in self.said, "an event that has its outcome is sent again"
            self.said[key] = reason


@pytest.mark.parametrize("seed", range(6))
async def test_each_event_has_the_outcome_of_its_transport(seed):
    """Positions and reasons fit what the transport did, for subscribers with and without policies."""
    transport, chance = Fickle(seed), random.Random(seed)
    plugins = {"fickle": transport, "policies": PoliciesPlugin(), "workers": WorkersPlugin()}
    core = CoreOptions(queue_size=20, overflow="drop_oldest") if seed % 2 else CoreOptions()
    async with evframe.EventInterface(evframe.Config(core), plugins=plugins) as events:
        plugin = plugins["workers"]
        engine = InterfaceEngine(plugin.context)
        written = []
        reader = messages.Reader()
        deliveries = Deliveries(
            engine, lambda data: written.extend(reader.feed(data)), asyncio.get_running_loop().call_soon
        )
        plugin.work(engine, lambda *_: None)
        events.register_event("E_TEST")
        wanted = {}
        count = 0

        def show(number, policy):
            row = [number, f"fickle:{number}", False, policy, True]
            ((kind, content),) = messages.Reader().feed(messages.json_message(messages.TARGETS, [row]))
            deliveries.receive(kind, content)

        for number in range(3):
            show(number, {})
        for _ in range(60):
            numbers = sorted(chance.sample(range(3), chance.choice([1, 2, 3])))
            burst = [events.event("E_TEST").snapshot({"n": count + at}, 0.0) for at in range(chance.choice([1, 3, 12]))]
            for at in range(len(burst)):
                for number in numbers:
                    wanted.setdefault(number, []).append(count + at)
            count += len(burst)
            frame = Frame("", 0, 1, 0, (), burst, [numbers] * len(burst))
            deliveries.receive(messages.FRAME, frame.encode(0.0))
            if chance.random() < 0.1:
                show(0, {"max_age_s": 1e9})  # its events have callbacks from now on
            await asyncio.sleep(chance.choice([0, 0, 0.002]))
        await until(lambda: not any(each.depth for each in events.statistics))
        await asyncio.sleep(0)
        deliveries.flush()
        found = {}
        for kind, content in written:
            assert kind == messages.OUTCOMES
            for number, start, end, reason in messages.read_json(content)[1]:
                for position in range(start, end):
                    key = f"fickle:{number}", wanted[number][position]
                    assert key not in found, "an event has a second outcome"
                    found[key] = reason
        full = {key for key, reason in found.items() if reason == "queue_full"}
        assert {key: reason for key, reason in found.items() if key not in full} == transport.said
        assert bool(full) == seed % 2
        assert seed % 2 or deliveries.targets[1].counts, "no event of a subscriber without a policy needs a callback"
        assert len(found) == sum(map(len, wanted.values()))

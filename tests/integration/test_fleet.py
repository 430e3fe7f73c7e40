"""A fleet of three gateways, each a process, under kills, stops, outages and restarts: what must hold for clients.

Events are raised at all three, for subscribers that were subscribed at any of them. Each trial prints the longest time
that a subscriber waited, and how much came twice. The suite has a short version; `.ci/long fleet` has the whole one,
with EVFRAME_FLEET_KILLS, EVFRAME_FLEET_RATE and EVFRAME_FLEET_STOP_S.
"""

import asyncio
import os
import signal

import pytest
from brokers.kafka import Kafka
from brokers.proxy import FaultProxy
from fleets import Fleet

IS_LONG = "EVFRAME_FLEET_KILLS" in os.environ
KILLS = int(os.environ.get("EVFRAME_FLEET_KILLS", "1"))
RATE = int(os.environ.get("EVFRAME_FLEET_RATE", "2000" if IS_LONG else "150"))
STOP_S = float(os.environ.get("EVFRAME_FLEET_STOP_S", "30" if IS_LONG else "3"))
KINDS = 100 if IS_LONG else 10
TUNING = "session_timeout_ms = 1500\nheartbeat_interval_ms = 150\nmargin_ms = 500\n"
SESSION_S = 1.5
needs_time = pytest.mark.skipif(not IS_LONG, reason="it takes minutes: .ci/long fleet")
pytestmark = pytest.mark.timeout(300 + 60 * KILLS + 3 * STOP_S)


@pytest.fixture(scope="module")
def own_kafka():
    """Return a Kafka that a test may stop."""
    broker = Kafka()
    broker.start()
    yield broker
    broker.remove()


class Trial:
    """Measures one fault after the other, and looks at what has come of all events."""

    def __init__(self, fleet, most_gap_s, most_repeated_s):
        self.fleet, self.most_gap_s, self.most_repeated_s = fleet, most_gap_s, most_repeated_s
        self.gaps, self.repeated = [], []

    async def measure(self, fault):
        """Run *fault*, and keep the longest gap and the most that came twice."""
        self.fleet.received.begin()
        await fault
        await asyncio.sleep(1.5)
        gap, repeated = self.fleet.figures()
        self.gaps.append(gap)
        self.repeated.append(repeated)

    async def end(self, capsys, name):
        """End the fleet, and check what must hold."""
        fleet = self.fleet
        for each in fleet.gateways:
            each.send(signal.SIGUSR2)
        missing = await fleet.settled()
        for each in fleet.gateways:
            await each.stop()
        with capsys.disabled():
            gaps, again = (" ".join(f"{each:.2f}" for each in found) for found in (self.gaps, self.repeated))
            print(f"\n{name}: {fleet.acknowledged} acknowledged, {fleet.received.count} received, gaps {gaps} s")
            print(f"{name}: repeated for one subscriber at most {again} s of its events")
        assert missing == []
        assert fleet.received.disorder == []
        assert max(self.gaps) <= self.most_gap_s
        assert max(self.repeated) <= self.most_repeated_s


async def kill(fleet, gateway):
    """Kill a gateway, and start it again once the others deliver in its place."""
    await gateway.stop(signal.SIGKILL)
    await asyncio.sleep(2 * SESSION_S)
    await gateway.start()
    await fleet.until_joined()


async def stop(fleet, gateway, seconds):
    """Stop the process of a gateway for some time."""
    gateway.send(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    gateway.send(signal.SIGCONT)
    await asyncio.sleep(1)
    await fleet.until_joined()


async def restart(fleet, *gateways):
    """Restart one gateway after the other."""
    for each in gateways:
        await each.stop()
        await each.start()
        await fleet.until_joined()


def bounds(gap_s, repeated_s):
    """Return the bounds of a trial; the suite runs on machines that are busy, where they say little."""
    return (gap_s, repeated_s) if IS_LONG else (30, 10)


async def test_a_fleet_survives_its_members(own_kafka, tmp_path, capsys, request):
    """Kills, a process that stops and continues, and restarts: nothing that was acknowledged is lost."""
    rabbitmq = request.getfixturevalue("rabbitmq") if IS_LONG else None
    async with Fleet(tmp_path, own_kafka, kinds=KINDS, rate=RATE, tuning=TUNING, rabbitmq=rabbitmq) as fleet:
        trial = Trial(fleet, *bounds(SESSION_S + 1.5, 2))
        for number in range(KILLS):
            await trial.measure(kill(fleet, fleet.gateways[number % 3]))
        await trial.measure(stop(fleet, fleet.gateways[1], STOP_S))
        await trial.measure(restart(fleet, *fleet.gateways if IS_LONG else fleet.gateways[:1]))
        await trial.end(capsys, "members")


@needs_time
async def test_a_fleet_survives_its_broker(own_kafka, tmp_path, capsys):
    """A restart of the only broker: nothing that was acknowledged is lost, and all gateways continue."""
    async with Fleet(tmp_path, own_kafka, kinds=KINDS, rate=RATE, tuning=TUNING) as fleet:
        trial = Trial(fleet, 90, 5)

        async def fault():
            await asyncio.to_thread(own_kafka.stop)
            await asyncio.to_thread(own_kafka.start)
            await fleet.until_joined()

        await trial.measure(fault())
        await trial.end(capsys, "broker")


@needs_time
async def test_a_fleet_survives_a_network(own_kafka, tmp_path, capsys):
    """A gateway whose network is cut delivers nothing that others deliver, and continues when it is back."""
    async with FaultProxy(own_kafka.behind_proxy, own_kafka.proxy_port) as proxy:
        ports = {"c": proxy.port}
        async with Fleet(tmp_path, own_kafka, kinds=KINDS, rate=RATE, tuning=TUNING, ports=ports) as fleet:
            trial = Trial(fleet, *bounds(SESSION_S + 1.5, 2))

            async def fault():
                proxy.hold()
                await asyncio.sleep(10)
                proxy.reset()
                proxy.release()
                await fleet.until_joined()

            await trial.measure(fault())
            await trial.end(capsys, "network")

"""A fleet of three gateways at the full rate, under each fault: a trial of `.ci/long fleet`.

Events are raised at all three, for subscribers that were subscribed at any of them, and some of which are renewed at
any. The bounds are those of a machine that does little else: what a fault took is printed with the load.
EVFRAME_FLEET_KILLS, EVFRAME_FLEET_RATE and EVFRAME_FLEET_STOP_S change how much.
"""

import asyncio
import os

import pytest
from brokers.kafka import Kafka
from brokers.proxy import FaultProxy
from fleet_faults import TUNING, Trial, kill, restart, start, stop
from fleets import Fleet

KILLS = int(os.environ.get("EVFRAME_FLEET_KILLS", "20"))
RATE = int(os.environ.get("EVFRAME_FLEET_RATE", "2000"))
STOP_S = float(os.environ.get("EVFRAME_FLEET_STOP_S", "30"))
KINDS = 100
LEASE_S = 20  # less than some faults take
CALM_S = 5
WAIT_S = 1.0
pytestmark = pytest.mark.timeout(300 + 60 * KILLS + 3 * STOP_S)


@pytest.fixture(scope="module")
def own_kafka():
    """Return a Kafka that a test may stop."""
    broker = Kafka()
    broker.start()
    yield broker
    broker.remove()


@pytest.fixture
def fleet_of(own_kafka, rabbitmq, tmp_path):
    """Return what makes a fleet with 300 subscribers of three sorts."""

    def make(tuning=TUNING, **others):
        settings = {"kinds": KINDS, "rate": RATE, "rabbitmq": rabbitmq, "lease_s": LEASE_S}
        return Fleet(tmp_path, own_kafka, tuning=tuning, **{**settings, **others})

    return make


async def raises_all(fleet, trial):
    """Check that the gateways raise at the rate of the trial, and that each event is acknowledged."""
    begun = fleet.acknowledged
    await trial.measure("calm", asyncio.sleep(CALM_S))
    rate = (fleet.acknowledged - begun) / CALM_S
    trial.say(f"{rate:.0f} events/s are raised and acknowledged")
    assert rate >= 0.95 * RATE


async def test_a_fleet_survives_its_members(fleet_of, capsys):
    """Kills, a process that stops and continues, and a rolling restart."""
    async with fleet_of() as fleet:
        trial = Trial(fleet, capsys)
        await raises_all(fleet, trial)
        for number in range(KILLS):
            each = fleet.gateways[number % 3]
            await trial.measure("kill", kill(fleet, each), WAIT_S)
            await trial.measure("start", start(fleet, each), WAIT_S)
        await trial.measure("stop", stop(fleet, fleet.gateways[1], STOP_S), WAIT_S)
        for each in fleet.gateways:
            await trial.measure("restart", restart(fleet, each), WAIT_S)
        await trial.end()
        assert trial.most(trial.gaps, "kill", "stop") <= 2
        assert trial.most(trial.gaps, "start") <= 1
        assert trial.most(trial.gaps, "restart") <= 1
        assert trial.most(trial.repeated, *trial.repeated) <= 1
        assert max(fleet.shown) <= 0.1


async def test_a_fleet_survives_a_kill_with_the_defaults_of_a_broker(fleet_of, capsys):
    """A session of six seconds, which is the least that brokers accept by default."""
    async with fleet_of("") as fleet:
        trial = Trial(fleet, capsys)
        await trial.measure("kill", kill(fleet, fleet.gateways[0]), WAIT_S)
        await trial.measure("start", start(fleet, fleet.gateways[0]), WAIT_S)
        await trial.measure("restart", restart(fleet, fleet.gateways[1]), WAIT_S)
        await trial.end()
        assert trial.most(trial.gaps, "kill") <= 10
        assert trial.most(trial.gaps, "start") <= 1
        assert trial.most(trial.gaps, "restart") <= 1
        assert trial.most(trial.repeated, *trial.repeated) <= 1


async def test_a_fleet_survives_its_broker(own_kafka, fleet_of, capsys):
    """A restart of the only broker: all gateways continue."""
    async with fleet_of() as fleet:
        trial = Trial(fleet, capsys)

        async def fault():
            await asyncio.to_thread(own_kafka.stop)
            await asyncio.to_thread(own_kafka.start)
            await fleet.until_joined()

        await trial.measure("broker", fault(), WAIT_S)
        await trial.end()
        assert trial.most(trial.gaps, "broker") <= 90
        assert trial.most(trial.repeated, "broker") <= 1


async def test_a_fleet_survives_a_network(own_kafka, fleet_of, capsys):
    """A gateway whose network is cut delivers nothing that others deliver, and continues when it is back."""
    async with (
        FaultProxy(own_kafka.behind_proxy, own_kafka.proxy_port) as proxy,
        fleet_of(ports={"c": proxy.port}) as fleet,
    ):
        trial = Trial(fleet, capsys)

        async def fault():
            proxy.hold()
            await asyncio.sleep(10)
            proxy.reset()
            proxy.release()
            await fleet.until_joined()

        await trial.measure("network", fault(), WAIT_S)
        await trial.end()
        assert trial.most(trial.gaps, "network") <= 2
        assert trial.most(trial.repeated, "network") <= 1

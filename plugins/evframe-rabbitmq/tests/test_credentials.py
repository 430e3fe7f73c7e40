"""Connections that are exchanged while events flow: for other credentials, and at their greatest age."""

import asyncio
import json
from importlib.metadata import entry_points

import pytest
from brokers.proxy import FaultProxy
from brokers.queues import bodies_in, make_queue
from evframe_rabbitmq import Options, RabbitmqTransport
from numbered import Load

import evframe
from evframe.config import parse_config
from evframe.testing import until

pytestmark = pytest.mark.timeout(60)


async def test_a_password_that_changes_takes_effect_with_a_reload(rabbitmq):
    """While events flow, a reload with another password exchanges the connection, and no event is lost or overtaken."""
    if not hasattr(rabbitmq, "change_password"):
        pytest.skip("the broker that is given has other users")
    await make_queue(rabbitmq, "rotated")
    await asyncio.to_thread(rabbitmq.make_user, "rotating", "old")
    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"rabbitmq"})

    def config(password):
        socket = f"rabbitmq:rotating:{password}@127.0.0.1:{rabbitmq.port}/persistent?rotated"
        return parse_config(f"plugins.disable = {others}\n[[subscriptions]]\nevent = 'E_TEST'\nsocket = '{socket}'\n")

    events = evframe.EventInterface(config("old"))
    (lease,) = events.subscriptions
    brokers = events.plugin("rabbitmq")._brokers
    async with events, Load(events) as load:
        await until(lambda: lease.subscriber.delivered > 200)
        await asyncio.to_thread(rabbitmq.change_password, "rotating", "new")
        changes = events.reload(config("new"))
        assert len(changes.subscribed) == 1
        before = lease.subscriber.delivered
        await until(lambda: lease.subscriber.delivered > before + 500)
        await load.__aexit__()
        await until(lambda: not lease.subscriber.depth)
        await until(lambda: len(brokers) == 1)  # the connection with the old password is closed
        counters = events.statistics[0]
    assert (counters.delivered, counters.failed) == (load.raised, 0)
    numbers = [json.loads(body)["params"]["n"] for body in await bodies_in(rabbitmq, "rotated")]
    assert numbers == list(range(load.raised))


async def test_a_connection_is_exchanged_at_its_greatest_age(rabbitmq):
    """While events flow, one connection follows the other, and no event is lost, overtaken or sent twice."""
    await make_queue(rabbitmq, "aged")
    transport = RabbitmqTransport(Options(max_connection_age_s=0.5))
    events = evframe.EventInterface(plugins={"rabbitmq": transport})
    events.register_event("E_TEST")
    async with FaultProxy(getattr(rabbitmq, "port", 5672)) as proxy:
        async with events, Load(events) as load:
            lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/aged")
            await until(lambda: proxy.connections >= 4, timeout_s=30)
            await load.__aexit__()
            await until(lambda: not lease.subscriber.depth)
            assert (lease.subscriber.delivered, lease.subscriber.attempts) == (lease.subscriber.raised, 0)
    numbers = [json.loads(body)["params"]["n"] for body in await bodies_in(rabbitmq, "aged")]
    assert numbers == list(range(load.raised - lease.subscriber.raised, load.raised))

"""What a probe finds out about the target of a subscriber, without a message."""

import pytest
from brokers.queues import channel_of
from evframe_rabbitmq import Options, RabbitmqTransport

import evframe
from evframe.testing import until

pytestmark = pytest.mark.timeout(120)


async def test_what_is_missing_is_known_without_a_message(rabbitmq):
    """A password, a virtual host, a queue and an exchange that are wrong have their reasons; what exists is connected."""
    events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport(Options())})
    events.register_event("E_TEST")
    place = f"127.0.0.1:{rabbitmq.port}"
    async with channel_of(rabbitmq) as channel:
        queue = await channel.declare_queue(exclusive=True)
        wanted = {
            f"rabbitmq:{place}/{queue.name}": None,
            f"rabbitmq:{place}/exchange=amq.topic?calls.a": None,
            f"rabbitmq:{place}/no-such-queue": "not_found",
            f"rabbitmq:{place}/exchange=no-such-exchange?k": "not_found",
            f"rabbitmq:guest:wrong@{place}/{queue.name}": "access_refused",
            f"rabbitmq:{place}/vhost=nosuch?{queue.name}": "closed",
        }
        async with events:
            leases = {}
            for text in wanted:  # the password is in no canonical text: one after the other
                lease = events.subscribe_event("E_TEST", text, configured=True)
                await until(lambda lease=lease: events.state(lease) != "unknown")
                leases[text] = events.away(lease)
                events.unsubscribe_event("E_TEST", text)
                await until(lambda: not events.subscriptions and not events.plugin("rabbitmq")._brokers)
        assert leases == wanted
        assert (await channel.declare_queue(queue.name, passive=True)).declaration_result.message_count == 0

"""Numbered events through a Kafka that fails, or a way to it that does: K5, K7 and K8."""

import pytest
from brokers.faults import FaultContract
from brokers.proxy import FaultProxy
from brokers.topics import make_topic, numbers_in
from evframe_kafka import KafkaTransport, Options

TIMES = 5


class TestFaults(FaultContract):
    """The client sends again by itself when a connection has ended."""

    breaks_on_the_way = TIMES
    breaks_of_the_broker = 1

    @pytest.fixture(autouse=True)
    def broker(self, kafka):
        """Return a Kafka that can be stopped and reached through a proxy."""
        if not hasattr(kafka, "proxy_port"):
            pytest.skip("the broker that is given has no listener behind a proxy, and cannot be stopped")
        return kafka

    @pytest.fixture
    async def name(self, broker):
        return await make_topic(broker)

    def transport(self, **options):
        return {"kafka": KafkaTransport(Options(**options))}

    def socket(self, port, name, *, lasting=False):
        return f"kafka:127.0.0.1:{port}/{name}"

    async def numbers(self, broker, name):
        return await numbers_in(broker, name)

    def limits(self, limit_ms):
        return {"delivery_timeout_ms": 500}

    def proxy(self, broker):
        return FaultProxy(broker.behind_proxy, broker.proxy_port)

    @pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
    async def test_faults_on_the_way_lose_nothing_idempotent_k8(self, broker, name, fault):
        """K8: an idempotent client has the broker drop what it sends again by itself."""
        await self.lose_nothing_on_the_way(broker, name, fault, breaks=0, enable_idempotence=True)

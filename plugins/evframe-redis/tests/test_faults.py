"""Numbered events through a Redis that fails, or a way to it that does."""

import pytest
from brokers.faults import IdleContract
from brokers.redis import numbers_in
from evframe_redis import Options, RedisTransport


class TestFaults(IdleContract):
    """A batch waits for the replies to the one before."""

    fewest_in_flight = 1

    @pytest.fixture
    def broker(self, redis):
        return redis

    def transport(self, **options):
        return {"redis": RedisTransport(Options(**options))}

    def socket(self, port, name, *, lasting=False):
        return f"redis://127.0.0.1:{port}?stream={name}"

    async def numbers(self, broker, name):
        return numbers_in(broker, name)

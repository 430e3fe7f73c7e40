"""What every transport does, for queues at a server of moto."""

import asyncio
from contextlib import asynccontextmanager
from itertools import count

import pytest
from evframe_sqs import Options, SqsTransport

from evframe.testing import Peer, TransportContract

QUEUES = count()


class TestSqs(TransportContract):
    """The transport."""

    bad_sockets = (
        "sqs:",
        "sqs:Queue1",
        "sqs:https:",
        "sqs:https://",
        "sqs:https://h",
        "sqs:https://h/",
        "sqs:https://h:0/1/q",
        "sqs:https://h:70000/1/q",
        "sqs:ftp://h/1/q",
        "sqs:https://h/1/q?a=b",
        "sqs:https://h/1/a b",
        "sqs:https://u:s3cret@h/1/q",
        "sqs:https://h/1/" + "q" * 81,
        "sqs://h/1/q",
    )
    lost_sockets = ("sqs:http://127.0.0.1:1/123456789012/q",)

    @pytest.fixture(autouse=True)
    def _broker(self, moto):
        self.broker = moto

    def transport(self):
        return SqsTransport(Options(region="us-east-1", access_key_id="key", secret_access_key="secret"))

    @asynccontextmanager
    async def peer(self):
        url = await asyncio.to_thread(self.broker.make_queue, f"contract-{next(QUEUES)}")
        taken = []

        async def receive(count):
            while len(taken) < count:
                taken.extend(await asyncio.to_thread(self.broker.take, url))
            got, taken[:] = taken[:count], taken[count:]
            return [each["Body"].encode() for each in got]

        yield Peer(f"sqs:{url}", receive)

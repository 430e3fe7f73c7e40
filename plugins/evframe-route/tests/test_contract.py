"""What every transport does, for callables of every kind."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from evframe_route import RouteTransport

from evframe.testing import Peer, TransportContract


@pytest.mark.parametrize("kind", ["async", "thread", "inline"])
class TestRoute(TransportContract):
    """Routes."""

    bad_sockets = ("route:", "route:nosuch", "route: my_rt")

    @pytest.fixture(autouse=True)
    def route(self, kind):
        self.kind = kind
        self.received = []

    def transport(self):
        routes = RouteTransport()

        async def on_event(event):
            self.received.append(event.payload)

        if self.kind == "async":
            routes.add("my_rt", on_event)
        else:
            routes.add("my_rt", lambda event: self.received.append(event.payload), inline=self.kind == "inline")
        return routes

    @asynccontextmanager
    async def peer(self):
        async def receive(count):
            while len(self.received) < count:
                await asyncio.sleep(0.001)
            taken, self.received[:count] = self.received[:count], []
            return taken

        yield Peer("route:my_rt", receive)

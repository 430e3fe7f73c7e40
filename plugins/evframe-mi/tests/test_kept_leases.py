"""The answer to a subscription waits until the lease is kept elsewhere, where a plugin says so."""

import asyncio
import json

import pytest
from evframe_mi import evi
from evframe_mi.testing import management

import evframe
from evframe.exceptions import Unavailable
from evframe.testing import until


class Elsewhere:
    """Keeps leases elsewhere: each ends when the test says so."""

    def __init__(self):
        self.waiting = []

    @evframe.hookimpl
    def lease_kept(self, lease):
        if lease.subscriber.socket.name == "local":
            return None
        future = asyncio.get_running_loop().create_future()
        self.waiting.append((lease.subscriber.socket.name, lease.subscriber.leases, future))
        return future


@pytest.fixture
async def events(events):
    events.plugins.register(Elsewhere(), "elsewhere")
    async with events:
        yield events


def subscribe(events, name, expire=60):
    params = {"event": "E_A", "socket": f"memory:{name}", "expire": expire}
    request = {"jsonrpc": "2.0", "id": 1, "method": "evi:subscribe", "params": params}
    return management(events).submit(json.dumps(request).encode(), name)


async def test_the_answer_waits(events):
    """A subscription, and its end, are answered when each plugin has them elsewhere; others are answered at once."""
    other = Elsewhere()
    events.plugins.register(other, "other")
    elsewhere = events.plugin("elsewhere")
    answer = subscribe(events, "a")
    await until(lambda: elsewhere.waiting and other.waiting)
    assert json.loads(await subscribe(events, "local"))["result"] == "OK"
    elsewhere.waiting[0][2].set_result(None)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not answer.done()
    other.waiting[0][2].set_result(None)
    assert json.loads(await answer)["result"] == "OK"

    ended = subscribe(events, "a", 0)
    await until(lambda: len(elsewhere.waiting) == len(other.waiting) == 2)
    assert [(name, leases) for name, leases, _ in elsewhere.waiting] == [("a", 1), ("a", 0)]
    for each in (elsewhere, other):
        each.waiting[1][2].set_result(None)
    assert json.loads(await ended)["result"] == "OK"


async def test_an_error_is_the_answer(events):
    """A lease that cannot be kept elsewhere is answered with the reason, and stays."""
    answer = subscribe(events, "a")
    await until(lambda: events.plugin("elsewhere").waiting)
    events.plugin("elsewhere").waiting[0][2].set_exception(Unavailable("no broker"))
    error = json.loads(await answer)["error"]
    assert (error["code"], error["message"], error["data"]) == (500, "Subscription not kept", "no broker")
    assert len(events.subscriptions) == 1


async def test_the_wait_is_bounded(events, monkeypatch):
    """What is not kept in time is answered as an error before clients give up."""
    monkeypatch.setattr(evi, "_WAIT_S", 0.01)
    error = json.loads(await subscribe(events, "a"))["error"]
    assert (error["code"], error["message"]) == (500, "Subscription not kept")
    assert "in time" in error["data"]
    assert events.plugin("elsewhere").waiting[0][2].cancelled()


async def test_a_refused_subscription_is_kept_nowhere(events):
    """Nothing is waited for where nothing has changed."""
    assert json.loads(await subscribe(events, "never", 0))["result"] == "OK"
    assert events.plugin("elsewhere").waiting == []

"""What the commands of management say of the core: states, reloads, and errors of other plugins."""

import asyncio
import json

import pytest
from evframe_mi import Management
from evframe_mi.testing import management

import evframe
from evframe.config import Config, SubscriptionOptions
from evframe.plugins.commands import Command
from evframe.testing import ConfigFile, MemoryTransport, until


def raising(kind):
    def run(_):
        raise kind

    return run


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, RuntimeError])
async def test_a_command_that_exits_is_answered(kind):
    """A management command that raises anything is answered as a server error."""
    events = evframe.EventInterface(plugins={"mi": Management()})
    events.commands.add(Command("mine:broken", ((),), raising(kind)))
    answer = management(events).handle(b'{"jsonrpc":"2.0","method":"mine:broken","id":1}')
    assert b"-32000" in answer


async def test_statistics_have_the_state_of_the_listing():
    """`evi:statistics` and `events.statistics` show the state that `subscribers_list` shows, in its words."""

    def asked(method):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": []}
        return json.loads(management(events).handle(json.dumps(request).encode()))["result"]

    def shown():
        (event,) = asked("subscribers_list")["Events"]
        return {each["socket"]: each["state"] for each in event["Subscribers"]}

    def counted():
        return {each["socket"]: each["state"] for each in asked("evi:statistics")["Subscribers"]}

    class HalfAway(MemoryTransport):
        @evframe.hookimpl
        def deliver(self, socket, batch):
            if socket.name == "gone":
                raise evframe.Unavailable("refused")
            return super().deliver(socket, batch)

    subscriptions = [SubscriptionOptions(event="E_A", socket=f"memory:{name}") for name in ("gone", "here")]
    events = evframe.EventInterface(
        Config(subscriptions=subscriptions), plugins={"mi": Management(), "memory": HalfAway()}
    )
    assert counted() == shown() == {"memory:gone": "unknown", "memory:here": "unknown"}
    async with events:
        await until(lambda: "unknown" not in shown().values())
        assert counted() == shown() == {"memory:gone": "away", "memory:here": "connected"}
        *subscribers, sums = events.statistics
        assert {each.socket: each.state for each in subscribers} == shown()
        assert sums.state is None


async def test_a_reload_by_command(tmp_path):
    """The management command answers what has changed, or every problem."""
    file = ConfigFile(tmp_path / "evframe.toml", "mi")
    async with file.interface() as events:
        request = b'{"jsonrpc":"2.0","id":1,"method":"core:reload"}'
        file.write('[[events]]\nname = "E_NEW"\n')
        assert management(events).handle(request) == (
            b'{"jsonrpc":"2.0","result":{"Changes":{"events":["E_NEW"]}},"id":1}'
        )
        file.write("[core]\nmax_nesting = 0\n")
        answer = management(events).handle(request)
        assert b'"code":400,"message":"Bad configuration","data":"%s:4: core.max_nesting: ' % bytes(file.path) in answer

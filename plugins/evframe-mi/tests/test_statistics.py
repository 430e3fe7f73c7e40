"""The statistics of OpenSIPS, of what evframe and its plugins count: `statistics:get` and `statistics:list`."""

import json

import pytest
from evframe_mi import Management
from evframe_mi.testing import management

import evframe
from evframe.delivery.statistics import StatisticGroup
from evframe.plugins.commands import CommandError
from evframe.testing import MemoryTransport


class Counts:
    """A plugin for the tests, with statistics."""

    @evframe.hookimpl
    def statistics(self):
        return [StatisticGroup("dialog", {"processed_dialogs": 7}, {"active_dialogs": 2, "raised": 9})]


@pytest.fixture
def events():
    events = evframe.EventInterface(plugins={"mi": Management(), "memory": MemoryTransport(), "counts": Counts()})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:a")
    return events


def ask(events, method, *params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.loads(management(events).handle(json.dumps(request).encode()))


async def test_events_of_all_subscribers_are_counted(events):
    """The group evi has the sums over all subscribers, over those that have left too."""
    async with events:
        await events.raise_event_and_wait("E_A")
        events.subscribe_event("E_A", "memory:b")
        await events.raise_event_and_wait("E_A")
        events.unsubscribe_event("E_A", "memory:b")
        got = ask(events, "get_statistics", ["evi:"])["result"]
    assert got == {
        "evi:raised": 3,
        "evi:delivered": 3,
        "evi:failed": 0,
        "evi:refused": 0,
        "evi:events": 1,
        "evi:subscribers": 1,
        "evi:queued": 0,
    }


def test_groups_names_and_all(events):
    """`group:` is a group, `all` is everything, any other text a name: that of a statistic in any group."""
    both = {"dialog:processed_dialogs": 7, "dialog:active_dialogs": 2, "dialog:raised": 9}
    assert ask(events, "statistics:get", ["dialog:"])["result"] == both
    assert ask(events, "statistics:get", ["active_dialogs", "nosuch"])["result"] == {"dialog:active_dialogs": 2}
    assert ask(events, "statistics:get", ["raised"])["result"] == {"evi:raised": 0, "dialog:raised": 9}
    assert ask(events, "statistics:get", ["dialog:raised"])["result"] == {"dialog:raised": 9}
    everything = ask(events, "statistics:get", ["all"])["result"]
    assert everything.items() >= both.items()
    assert {name.partition(":")[0] for name in everything} == {"core", "evi", "dns", "load", "dialog"}
    assert all(type(value) is int for value in everything.values())
    assert ask(events, "get_statistics", "all")["result"].keys() == everything.keys()  # of clients that send a text


def test_list_says_which_only_grow(events):
    """`statistics:list` has `incremental` for counters, and `non-incremental` for what may fall."""
    kinds = {
        "dialog:processed_dialogs": "incremental",
        "dialog:active_dialogs": "non-incremental",
        "dialog:raised": "non-incremental",
    }
    assert ask(events, "list_statistics", ["dialog:"])["result"] == kinds
    everything = ask(events, "statistics:list")["result"]
    assert everything.items() >= kinds.items()
    assert everything.keys() == ask(events, "statistics:get", ["all"])["result"].keys()


@pytest.mark.parametrize(
    ("wanted", "code", "message", "data"),
    [
        (["nosuch"], 404, "Statistics Not Found", None),
        (["nosuch:"], 404, "Statistics Not Found", None),
        ([], -32602, "Invalid params", "Empty array in parameter 'statistics'"),
        ([1], -32602, "Invalid params", "Bad type for array item in parameter 'statistics'"),
        (7, -32602, "Invalid params", "Bad type for parameter 'statistics'"),
        ("", -32602, "Invalid params", "Bad type for parameter 'statistics'"),
    ],
)
def test_what_is_refused(events, wanted, code, message, data):
    """Statistics that do not exist are 404, and what is no list of texts is an invalid parameter."""
    with pytest.raises(CommandError) as error:
        events.commands.find("statistics:get").run({"statistics": wanted})
    assert (error.value.code, error.value.message, error.value.data) == (code, message, data)


def test_plugin_that_cannot_count_is_left_out(caplog):
    """An error of one plugin is logged, and the statistics of the others are answered."""

    class Broken:
        @evframe.hookimpl
        def statistics(self):
            raise RuntimeError("broken")

    events = evframe.EventInterface(plugins={"mi": Management(), "counts": Counts(), "broken": Broken()})
    assert "dialog:active_dialogs" in ask(events, "get_statistics", ["all"])["result"]
    assert caplog.records[0].plugin == "broken"

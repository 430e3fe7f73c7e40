"""Leases that get some of the events, or a part of their parameters."""

import asyncio

import pytest
from call_counts import count_calls
from evframe_cesql import CesqlPlugin
from evframe_policies import PoliciesPlugin

import evframe
from evframe import Pairs
from evframe.plugin import Policy
from evframe.testing import MemoryTransport


class Selecting:
    """An interface with leases in memory."""

    def __init__(self, params=None, **plugins):
        self.memory = MemoryTransport()
        self.plugin = PoliciesPlugin()
        plugins = {"memory": self.memory, "cesql": CesqlPlugin(), "policies": self.plugin, **plugins}
        self.events = evframe.EventInterface(plugins=plugins)
        self.events.register_event("E_A", params)

    def subscribe(self, name, **keys):
        self.events.subscribe_event("E_A", f"memory:{name}", policy=Policy(**keys))

    async def got(self, *raised):
        """Raise events, and return what each subscriber has got since."""
        self.memory.delivered.clear()
        for params in raised:
            self.events.raise_event("E_A", params)
        for _ in range(5):
            await asyncio.sleep(0)
        return {name: [event.params for event in events] for name, events in self.memory.delivered.items()}

    def counts(self, name):
        return self.events.describe(f"memory:{name}")["Selected"]["E_A"]


async def test_a_lease_gets_the_events_that_its_filter_matches():
    """`where` chooses by the parameters as they were raised; other leases get every event."""
    selecting = Selecting()
    selecting.subscribe("errors", where="code >= 400")
    selecting.subscribe("equal", where="code = 200 AND ip LIKE '10.%'")
    selecting.subscribe("all")
    async with selecting.events:
        ok, busy = {"code": 200, "ip": "10.0.0.1"}, {"code": 486, "ip": "10.0.0.1"}
        assert await selecting.got(ok, busy) == {"errors": [busy], "equal": [ok], "all": [ok, busy]}
        assert selecting.counts("errors") == {"filtered": 1, "sampled": 0}


async def test_an_event_that_a_filter_cannot_be_asked_about_does_not_match():
    """A missing parameter is false for that lease, and costs no other lease the event."""
    selecting = Selecting()
    selecting.subscribe("errors", where="code >= 400")
    selecting.subscribe("all")
    async with selecting.events:
        assert await selecting.got(None, {"code": "x"}, [1]) == {"all": [None, {"code": "x"}, (1,)]}
        assert selecting.counts("errors") == {"filtered": 3, "sampled": 0}


async def test_a_filter_of_another_plugin_that_raises_costs_no_other_lease_the_event(caplog):
    """An error of a filter counts as false, and is logged once."""

    class Broken:
        equality = None

        def matches(self, params, event):
            raise RuntimeError("broken")

    class Dialect:
        @evframe.hookimpl
        def compile_filter(self, dialect, text):
            return Broken() if dialect == "broken" else None

    selecting = Selecting(dialect=Dialect())
    selecting.subscribe("broken", where="broken:x")
    selecting.subscribe("right", where="cesql:TRUE")
    async with selecting.events:
        assert await selecting.got({"n": 1}, {"n": 2}) == {"right": [{"n": 1}, {"n": 2}]}
    assert [record.message for record in caplog.records] == ["a filter raised an error"]


@pytest.mark.parametrize(
    ("raised", "only", "got"),
    [
        ({"a": 1, "b": 2, "c": 3}, ["c", "a"], {"a": 1, "c": 3}),
        ({"a": 1, "b": 2}, ["2"], {"b": 2}),
        ({"a": 1, "2": 5, "b": 2}, ["2"], {"2": 5}),
        ({"a": 1}, ["x"], None),
        ([7, 8, 9], ["3", "1"], (7, 9)),
        (None, ["a"], None),
        ({"a": {"b": [1, 2]}}, ["a"], {"a": {"b": [1, 2]}}),
    ],
)
async def test_a_lease_gets_the_parameters_that_it_names(raised, only, got):
    """`only` names parameters, or places of those without names; the order is that of the event."""
    selecting = Selecting()
    selecting.subscribe("part", only=only)
    selecting.subscribe("all")
    async with selecting.events:
        found = await selecting.got(raised)
        assert found == {"part": [got], "all": [tuple(raised) if isinstance(raised, list) else raised]}


@pytest.mark.parametrize(
    ("raised", "only", "got"),
    [
        ({"a": b"\xff", "b": 1}, ["a"], [("a", b"\xff")]),
        ({"a": "\udcff", "b": 1}, ["a"], [("a", "\udcff")]),
        ({"a": 2**70, "b": 1}, ["a"], [("a", 2**70)]),
        (Pairs([("a", 1), ("b", 2), ("a", 3)]), ["a"], [("a", 1), ("a", 3)]),
        (Pairs([("a", 1), (None, 2), ("2", 5)]), ["2"], [("2", 5)]),
        (Pairs([("a", 1), (None, 2)]), ["a", "2"], [("a", 1), (None, 2)]),
    ],
)
async def test_a_part_has_what_the_event_has(raised, only, got):
    """Bytes that are no UTF-8, long integers and repeated names are in a part as they are in the event."""
    selecting = Selecting()
    selecting.subscribe("part", only=only)
    async with selecting.events:
        await selecting.got(raised)
        (event,) = selecting.memory.delivered["part"]
        assert list(event.pairs) == got


async def test_a_declared_event_can_be_reduced():
    """`only` may leave out parameters that the declaration requires."""
    selecting = Selecting({"a": int, "b": str})
    selecting.subscribe("part", only=["b"])
    async with selecting.events:
        assert await selecting.got({"a": 1, "b": "x"}) == {"part": [{"b": "x"}]}
        (event,) = selecting.memory.delivered["part"]
        assert (event.definition, event.depth) == (selecting.events.event("E_A"), 0)
        assert event.payload == b'{"jsonrpc":"2.0","method":"E_A","params":{"b":"x"}}'


async def test_leases_with_the_same_parameters_share_one_payload():
    """A part of the parameters is encoded once for each set of names, however many leases have it."""
    selecting = Selecting()
    for number in range(5):
        selecting.subscribe(f"x{number}", only=["a", "b"] if number % 2 else ["b", "a"])
    async with selecting.events:
        await selecting.got({"a": 1, "b": 2, "c": 3})
        payloads = {id(event.payload) for events in selecting.memory.delivered.values() for event in events}
        assert len(payloads) == 1


async def test_a_lease_gets_an_exact_share():
    """`sample` is a fixed share of the events that pass the filter, counted for each lease."""
    selecting = Selecting()
    selecting.subscribe("quarter", sample=0.25)
    selecting.subscribe("tenth", sample=0.1, where="n >= 50")
    selecting.subscribe("most", sample=0.7)
    async with selecting.events:
        found = await selecting.got(*({"n": number} for number in range(100)))
        assert [params["n"] for params in found["quarter"]] == list(range(3, 100, 4))
        assert [params["n"] for params in found["tenth"]] == [59, 69, 79, 89, 99]
        assert len(found["most"]) == 70
        assert selecting.counts("tenth") == {"filtered": 50, "sampled": 45}
        (group,) = [group for group in selecting.events.plugins.statistics() if group.name == "policies"]
        assert group.counters == {"filtered": 50, "sampled": 75 + 45 + 30}


async def test_a_refresh_with_another_filter_changes_the_lease():
    """The last request counts; what was counted before stays counted."""
    selecting = Selecting()
    selecting.subscribe("a", where="n = 1")
    async with selecting.events:
        assert await selecting.got({"n": 1}, {"n": 2}) == {"a": [{"n": 1}]}
        selecting.subscribe("a", where="n = 2")
        assert await selecting.got({"n": 1}, {"n": 2}) == {"a": [{"n": 2}]}
        assert selecting.counts("a") == {"filtered": 2, "sampled": 0}
        selecting.subscribe("a")
        assert await selecting.got({"n": 1}, {"n": 2}) == {"a": [{"n": 1}, {"n": 2}]}
        assert selecting.events.event("E_A").select is None


async def test_an_ended_lease_gets_nothing_more():
    """The end of the last selective lease ends the selection, and its counts stay in the sums."""
    selecting = Selecting()
    selecting.subscribe("a", where="n = 1")
    async with selecting.events:
        await selecting.got({"n": 2})
        selecting.events.unsubscribe_event("E_A", "memory:a")
        assert selecting.events.event("E_A").select is None
        assert await selecting.got({"n": 1}) == {}
        (group,) = [group for group in selecting.events.plugins.statistics() if group.name == "policies"]
        assert group.counters == {"filtered": 1, "sampled": 0}


async def test_awaited_events_have_an_outcome_for_each_lease_that_gets_them():
    """A caller that waits gets no outcome of a lease whose filter does not match."""
    selecting = Selecting()
    selecting.subscribe("a", where="n = 1")
    selecting.subscribe("b", only=["n"])
    selecting.subscribe("c")
    async with selecting.events:
        outcomes = await selecting.events.raise_event_and_wait("E_A", {"n": 2})
        assert {outcome.socket: outcome.reason for outcome in outcomes} == {"memory:b": None, "memory:c": None}


async def test_parameters_are_kept_for_filters():
    """An event with filters keeps its parameters at the raise, so that they need not be read from the payload."""
    selecting = Selecting()
    selecting.subscribe("a", where="n = 1")
    channel = selecting.events.event("E_A")
    async with selecting.events:
        assert channel.targets
        assert channel.reads_params
        selecting.events.unsubscribe_event("E_A", "memory:a")
        assert not channel.targets
        assert not channel.reads_params


async def test_thousands_of_equalities_cost_as_much_as_one():
    """An event calls as many functions for 2,000 leases with `callid = '…'` as for one."""
    counts = []
    for leases in (1, 2_000):
        selecting = Selecting()
        for number in range(leases):
            selecting.subscribe(str(number), where=f"callid = 'call-{number}'")
        select = selecting.events.event("E_A").select
        event = selecting.events.event("E_A").snapshot({"callid": "other", "n": 1}, 0.0)
        assert event.params
        calls, result = count_calls(select, event)
        assert result == ()
        counts.append(calls)
    assert counts[0] == counts[1] < 20


def test_whether_an_event_has_subscribers_costs_nothing_for_each():
    """A raise over the management interface asks for it: it costs the same for 2,000 selective leases as for one."""
    counts = []
    for leases in (1, 2_000):
        selecting = Selecting()
        for number in range(leases):
            selecting.subscribe(str(number), where=f"callid = 'call-{number}'")
        calls, has_targets = count_calls(getattr, selecting.events.event("E_A"), "has_targets")
        assert has_targets
        counts.append(calls)
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"where": "code >="}, "where: at character 8: expected "),
        ({"where": "cel:x > 1"}, "where: expected "),
        ({"only": []}, "only: expected one or more parameters, each of them once, got []"),
        ({"only": ["a", "a"]}, "only: expected one or more parameters, each of them once, got ['a', 'a']"),
        ({"only": ["x"]}, "only: expected parameters of the event 'E_A', which are a, b, got 'x'"),
        ({"only": ["3"]}, "only: expected parameters of the event 'E_A', which are a, b, got '3'"),
        ({"burst": 5}, "burst: expected it together with rate, got 5 alone"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(keys, problem):
    """The error names the key and the accepted form, and no lease is made."""
    selecting = Selecting({"a": int, "b": str})
    with pytest.raises(ValueError) as caught:
        selecting.subscribe("a", **keys)
    assert str(caught.value).startswith(problem)
    assert not selecting.events.event("E_A").leases

"""The registry, the declarations and one raised event."""

import pytest
from evframe_declarations import Parameter, declare

import evframe
from evframe import Pairs
from evframe.events.event import EventRegistry
from evframe.exceptions import ParameterError


def test_ids_in_order_q9():
    """Ids follow the order of registration; a name registered again keeps its id (Q-9: at run time too)."""
    registry = EventRegistry()

    assert [registry.register(name).id for name in ("E_A", "E_B", "E_A", "E_C")] == [0, 1, 0, 2]
    assert [event.name for event in registry] == ["E_A", "E_B", "E_C"]


@pytest.mark.parametrize("name", ["", "x" * 65, "é" * 33, None, 7, "\ud800"])
def test_bad_names(name):
    """A name has 1 to 64 bytes of text; nothing else is registered."""
    registry = EventRegistry()
    with pytest.raises(evframe.EventNameError, match="expected"):
        registry.register(name)
    assert list(registry) == []


def test_longest_name():
    """64 bytes are fine."""
    assert EventRegistry().register("x" * 64).id == 0


TYPES = {"ip": str, "hits": int, "load": float, "up": bool, "tags": list, "more": dict}
GOOD = {"ip": "192.0.2.1", "hits": 3, "load": 1, "up": True, "tags": ["a"], "more": {}}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ip": 7}, "ip"),
        ({"hits": "3"}, "hits"),
        ({"hits": True}, "hits"),
        ({"hits": 1.5}, "hits"),
        ({"load": "1"}, "load"),
        ({"load": True}, "load"),
        ({"up": 1}, "up"),
        ({"tags": "a"}, "tags"),
        ({"surprise": 1}, "surprise"),
    ],
)
@pytest.mark.parametrize("subscribed", [False, True])
def test_declaration_names_the_parameter(events, change, named, subscribed):
    """A raise that breaks the declaration is an error that names the parameter; nothing is counted."""
    events.register_event("E_TYPED", TYPES)
    if subscribed:
        events.subscribe_event("E_TYPED", "memory:a")
    events.raise_event("E_TYPED", GOOD)
    events.raise_event("E_TYPED", list(GOOD.values()))
    events.raise_event("E_TYPED", dict.fromkeys(TYPES))
    with pytest.raises(evframe.ParameterError, match=f"'E_TYPED', parameter '{named}': expected") as caught:
        events.raise_event("E_TYPED", {**GOOD, **change})

    assert caught.value.parameter == named
    assert events.event("E_TYPED").raised == 3


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"a": "int"}, "type: expected str, int, float, bool, list or dict, got 'int'"),
        ({"a": bytes}, "type: expected str, int, float, bool, list or dict, got <class 'bytes'>"),
        (["a"], r"params: expected a mapping of names to types, got \['a'\]"),
        ({5: str}, "params: expected names that are texts, got 5"),
    ],
)
def test_bad_declaration(events, params, problem):
    """Parameters that are declared as what they cannot be are an error, and nothing is registered."""
    with pytest.raises(TypeError, match=problem):
        events.register_event("E_NEW", params=params)
    with pytest.raises(evframe.UnknownEventError):
        events.event("E_NEW")


@pytest.mark.parametrize(
    "params", [None, {}, {"ip": "x"}, ["x"], [*GOOD.values(), 1], "text", 5, {"ip": evframe.UNSET}]
)
def test_declaration_of_count_and_form(events, params):
    """Missing, surplus and shapeless parameters are errors too."""
    events.register_event("E_TYPED", TYPES)
    with pytest.raises(evframe.ParameterError):
        events.raise_event("E_TYPED", params)


@pytest.mark.parametrize("params", ["text", 5, b"x", {1: "a"}, {"a": object()}])
def test_shapeless_parameters(events, params):
    """Parameters are a mapping of names or a sequence of values, with a JSON form."""
    events.subscribe_event("E_A", "memory:a")
    with pytest.raises(evframe.ParameterError, match="'E_A'"):
        events.raise_event("E_A", params)
    assert events.statistics[0].raised == 0


def test_unknown_event(events):
    """An event that is not registered cannot be raised."""
    with pytest.raises(evframe.UnknownEventError, match="'E_NONE'"):
        events.raise_event("E_NONE")


@pytest.mark.parametrize("name", [5, None, ["E_A"], {}])
async def test_a_name_that_is_no_text_is_no_event(events, name):
    """Whatever asks for an event by a name that is no text gets the error of an unknown event."""
    async with events:
        for ask in (
            lambda: events.event(name),
            lambda: events.raise_event(name),
            lambda: events.subscribe_event(name, "memory:a"),
            lambda: events.raise_event_and_tell(name, None, print),
        ):
            with pytest.raises(evframe.UnknownEventError, match="expected a registered event, got"):
                ask()
        with pytest.raises(evframe.UnknownEventError):
            await events.raise_event_and_wait(name)


def test_too_many_values(events):
    """The error of a sequence with more values than parameters has both numbers."""
    events.register_event("E_TYPED", {"a": str, "b": int})
    with pytest.raises(evframe.ParameterError, match="parameter 3: expected at most 2 parameters, got 4"):
        events.raise_event("E_TYPED", ["x", 1, 2, 3])


async def test_event_is_as_it_was_raised(events, memory):
    """Later changes to the caller's containers do not reach the event."""
    events.subscribe_event("E_A", "memory:a")
    inner = ["x"]
    params = {"list": inner, "text": "t"}
    events.raise_event("E_A", params)
    inner.append("y")
    params["text"] = "changed"
    async with events:
        await events.raise_event_and_wait("E_B")
    event = memory.delivered["a"][0]

    assert (event["list"], event["text"], event[1], event.get(3), event.get(0)) == (["x"], "t", ["x"], None, None)
    assert event.payload == b'{"jsonrpc":"2.0","method":"E_A","params":{"list":["x"],"text":"t"}}'
    with pytest.raises(LookupError, match="'missing'"):
        event["missing"]


async def test_names_twice_and_without(events, memory):
    """Pairs keep names that repeat; a name finds the first of them."""
    events.subscribe_event("E_A", "memory:a")
    events.raise_event("E_A", evframe.Pairs([("k", 1), ("k", 2), (None, 3)]))
    async with events:
        await events.raise_event_and_wait("E_B")
    event = memory.delivered["a"][0]

    assert (event["k"], event.values, event[3]) == (1, (1, 2, 3), 3)
    assert event.payload.endswith(b'{"k":1,"k":2,"":3}}')


def test_optional_parameters():
    """A parameter that may be missing is checked when it is there."""
    registry = EventRegistry()
    declared = declare("E_X", {"group": str, "details": Parameter(str, optional=True), "old": int})
    definition = registry.register("E_X", declared)
    definition.snapshot({"group": "a", "old": 1}, 0.0)
    definition.snapshot({"group": "a", "details": None, "old": 1}, 0.0)
    with pytest.raises(ParameterError, match="details"):
        definition.snapshot({"group": "a", "details": 5, "old": 1}, 0.0)
    with pytest.raises(ParameterError, match="old"):
        definition.snapshot({"group": "a"}, 0.0)


def test_described_parameters():
    """A declaration that is not enforced describes, and refuses nothing."""
    registry = EventRegistry()
    definition = registry.register("E_X", declare("E_X", {"n": int}, enforced=False))
    assert definition.snapshot({"other": "x"}, 0.0).params == {"other": "x"}
    assert definition.params["n"].type is int


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_two_sources_declare_one_event(order):
    """An event with a source that only describes it is refused by no declaration, whoever is first."""
    registry = EventRegistry()
    for enforced in order:
        definition = registry.register("E_X", declare("E_X", {"n": int}, enforced=enforced))
    assert definition.enforced is None
    assert definition.snapshot({"other": "x"}, 0.0).params == {"other": "x"}


@pytest.mark.parametrize("params", [{"a": b"\xff"}, {"a": 2**70}, {"a": [2**70]}, Pairs([("a", 1), ("a", 2)])])
def test_an_event_of_an_earlier_payload_has_its_parameters(params):
    """What is read from a payload of another process loses no bytes, digits or repeated names."""
    definition = EventRegistry().register("E_A")
    event = definition.restored(definition.snapshot(params, 0.0).payload, 0.0)
    expected = [
        (name, "\udcff" if value == b"\xff" else value) for name, value in getattr(params, "items", lambda: params)()
    ]
    assert list(event.pairs) == expected


def test_an_event_of_an_earlier_payload_without_names_has_its_values():
    """An array in a payload of another process is read as values without names."""
    definition = EventRegistry().register("E_A")
    event = definition.restored(definition.snapshot([1, 2**70], 0.0).payload, 0.0)
    assert event.params == (1, 2**70)

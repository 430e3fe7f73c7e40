"""The JSON Schema of events: it accepts what is sent, and refuses what differs."""

import json

import pytest
from click.testing import CliRunner
from evframe_declarations import EventType, param
from evframe_schema import event_schema, events_schema
from jsonschema import Draft202012Validator

import evframe
from evframe.cli import main


class Moved(EventType, name="E_MOVED"):
    """Something has moved."""

    where: str = param(summary="Its new place.")
    cost: float
    is_far: bool
    hops: list
    about: dict
    count: int | None = None


PARAMS = {"where": "a", "cost": 1, "is_far": False, "hops": [1, "b"], "about": {"x": None}}


def registered(events, event, params=None):
    events.register_event(event, params)
    return events.event(event if isinstance(event, str) else "E_MOVED")


@pytest.fixture(scope="module")
def interface():
    return evframe.EventInterface()


def test_each_declared_event_has_a_schema(interface):
    """The events of all installed plugins are one schema of the dialect 2020-12."""
    schema = events_schema(interface.events)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["$defs"]) == [event.name for event in interface.events]


@pytest.mark.parametrize(
    "params",
    [
        PARAMS,
        PARAMS | {"count": 7},
        PARAMS | {"where": None, "cost": 1.5},
        [*PARAMS.values()],
        [*PARAMS.values(), 7],
        evframe.Pairs([*PARAMS.items()]),
        Moved(**PARAMS),
        Moved(**PARAMS, count=3),
    ],
)
async def test_it_accepts_what_is_sent(params):
    """A notification fits, however it was raised."""
    async with evframe.EventInterface() as events:
        definition = registered(events, Moved)
        async with events.listen("E_MOVED") as stream:
            if isinstance(params, Moved):
                events.raise_event(params)
            else:
                events.raise_event("E_MOVED", params)
            payload = json.loads((await anext(stream)).payload)

    Draft202012Validator(event_schema(definition)).validate(payload)
    Draft202012Validator(events_schema([definition])).validate(payload)


async def test_each_event_of_the_plugins_as_it_is_sent(interface):
    """An event of every plugin that is raised with values of its types fits, and with others it does not."""
    values = {str: "a", int: 1, float: 1.5, bool: True, list: [1], dict: {"a": 1}}
    async with evframe.EventInterface() as events:
        for definition in events.events:
            given = {name: values[parameter.type] for name, parameter in (definition.params or {}).items()}
            async with events.listen(definition.name) as stream:
                events.raise_event(definition.name, given)
                payload = json.loads((await anext(stream)).payload)
            validator = Draft202012Validator(event_schema(definition))
            validator.validate(payload)
            for name in given if definition.declaration.enforced else ():
                wrong = payload | {"params": given | {name: [] if isinstance(given[name], str) else "a"}}
                assert not validator.is_valid(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "E_OTHER"},
        {"jsonrpc": "1.0"},
        {"params": {}},
        {"params": PARAMS | {"where": 7}},
        {"params": PARAMS | {"further": 7}},
        {"params": [1, 2]},
        {"params": [*PARAMS.values(), 7, 8]},
        {"result": 1},
    ],
)
def test_it_refuses_what_differs(wrong):
    """Another name, a missing, wrong or unknown parameter, and another member do not fit."""
    events = evframe.EventInterface(plugins={})
    schema = event_schema(registered(events, Moved))
    good = {"jsonrpc": "2.0", "method": "E_MOVED", "params": PARAMS}

    assert Draft202012Validator(schema).is_valid(good)
    assert not Draft202012Validator(schema).is_valid(good | wrong)


def test_an_event_without_parameters_and_one_that_is_not_declared():
    """The first has no parameters, the second any; a description of events from elsewhere refuses no others."""
    events = evframe.EventInterface(plugins={})
    none = Draft202012Validator(event_schema(registered(events, "E_NONE", {})))
    any_ = Draft202012Validator(event_schema(registered(events, "E_ANY")))
    head = {"jsonrpc": "2.0", "method": "E_NONE"}

    assert none.is_valid(head)
    assert not none.is_valid(head | {"params": {"a": 1}})
    assert any_.is_valid(head | {"method": "E_ANY", "params": {"a": 1}})
    assert any_.is_valid(head | {"method": "E_ANY", "params": [1]})


def test_a_name_with_characters_of_pointers():
    """The reference to it is found."""
    events = evframe.EventInterface(plugins={})
    schema = events_schema([registered(events, "a/b~c %d", {"x": int})])

    Draft202012Validator(schema).validate({"jsonrpc": "2.0", "method": "a/b~c %d", "params": {"x": 1}})


def test_the_command(tmp_path):
    """It prints the schema of all events, of those that names or patterns choose, or of one."""
    path = tmp_path / "evframe.toml"
    path.write_text('[[events]]\nname = "E_MINE"\nparams = [{ name = "x", type = "int" }]\n')
    runner = CliRunner()
    one = json.loads(runner.invoke(main, ["schema", "events", "E_MINE", "-c", str(path)]).output)

    assert one["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator(one).validate({"jsonrpc": "2.0", "method": "E_MINE", "params": {"x": 1}})
    assert "E_MINE" in json.loads(runner.invoke(main, ["schema", "events", "-c", str(path)]).output)["$defs"]
    refused = runner.invoke(main, ["schema", "events", "E_MIN", "-c", str(path)])
    assert (refused.exit_code, refused.output) == (
        1,
        "Error: expected a declared event, got 'E_MIN', did you mean 'E_MINE'\n",
    )
    path.write_text("[core]\nqueue_sise = 1\n")
    refused = runner.invoke(main, ["schema", "events", "-c", str(path)])
    assert refused.exit_code == 1
    assert "unknown key 'queue_sise'" in refused.output

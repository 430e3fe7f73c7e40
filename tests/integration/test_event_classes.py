"""The events of the plugins are classes, whose instances are what the mappings of their sources become."""

import json
from importlib.resources import files

from evframe_schema import event_schema
from jsonschema import Draft202012Validator

import evframe

VALUES = {str: "a", int: 1, float: 1.5, bool: True, list: ["a"], dict: {"a": 1}}


async def test_the_classes_of_the_plugins():
    """A mapping is received as an instance, which is sent with the same bytes when it is raised itself."""
    async with evframe.EventInterface() as events:
        classes = {
            event.name: event.declaration.event_type
            for event in events.events
            if event.declaration is not None and event.declaration.event_type is not None
        }
        for name, event_type in classes.items():
            definition = events.event(name)
            given = {each: VALUES[parameter.type] for each, parameter in definition.params.items()}
            wanted = evframe.event_of(event_type, given)
            async with events.listen(event_type) as typed, events.listen(name) as plain:
                events.raise_event(name, given)
                events.raise_event(wanted)
                # The plugins may raise the same event, such as that of a status.
                instances = [each async for each in first_two(typed, lambda event, wanted=wanted: event == wanted)]
                payloads = [
                    each.payload async for each in first_two(plain, lambda event, given=given: event.params == given)
                ]

            assert instances == [wanted, wanted]
            assert payloads[0] == payloads[1]
            Draft202012Validator(event_schema(definition)).validate(json.loads(payloads[0]))


async def first_two(stream, is_wanted):
    found = 0
    while found < 2:
        event = await anext(stream)
        if is_wanted(event):
            found += 1
            yield event


def test_the_package_has_one_for_all_events():
    """Its file has each event of the project as the code declares it, and the events of the bridge."""
    shipped = json.loads(files("evframe_schema").joinpath("events.schema.json").read_bytes())

    Draft202012Validator.check_schema(shipped)
    for event in evframe.EventInterface().events:
        assert shipped["$defs"][event.name] == event_schema(event)
    assert len(shipped["$defs"]) > 63

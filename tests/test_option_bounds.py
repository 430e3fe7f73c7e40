"""Numbers that no option takes, over every option of the core and of every installed plugin."""

import typing
from importlib.metadata import entry_points

import attrs
import pytest
from evframe_options import structure

import evframe
from evframe import config
from evframe.config import CoreOptions, EventOptions, SubscriptionOptions, parse_config
from evframe.exceptions import ConfigError
from evframe.testing import MemoryTransport

ABSURD = (float("nan"), float("inf"), float("-inf"), 1e308, -1, 10**30, -(10**30), 10**5000)
NEGATIVE = {  # the options of which -1 is a value, as their page says
    "core-events.log_event_level_filter",
    "dispatcher.destinations.priority",
    "dispatcher.destinations.set",
    "load-balancer.destinations.group",
    "load-balancer.destinations.id",
    "pike.pike_log_level",
    "Policy.priority",
    "PolicyOptions.priority",
    "subscriptions.priority",
}


def numeric_fields(kind, path):
    """Yield each option that can be a number, those of tables within too."""
    if not attrs.has(kind):
        for part in typing.get_args(kind):
            yield from numeric_fields(part, path)
        return
    for field in attrs.fields(attrs.resolve_types(kind)):
        place = f"{path}.{field.name}"
        if field.init and not {field.type, *typing.get_args(field.type)}.isdisjoint({int, float}):
            yield pytest.param(kind, field, id=place)
        elif field.init:
            yield from numeric_fields(field.type, place)


def every_option():
    kinds = {"core": CoreOptions, "events": EventOptions, "subscriptions": SubscriptionOptions}
    tables = [kind for name in dir(config) if attrs.has(kind := getattr(config, name)) and name != "Config"]
    kinds.update({kind.__name__: kind for kind in tables if kind not in kinds.values()})
    for entry in sorted(entry_points(group="evframe"), key=lambda entry: entry.name):
        kinds[entry.name] = getattr(entry.load(), "Options", None)
    for name, kind in kinds.items():
        yield from numeric_fields(kind, name)


@pytest.mark.parametrize(("kind", "field"), list(every_option()))
def test_absurd_numbers(kind, field, request):
    """A number that is not finite, or beyond its unit, is one error that names the option and what it takes."""
    is_table = typing.get_origin(field.type) is dict
    for value in ABSURD:
        problems = []
        structure({field.name: {"x": value} if is_table else value}, kind, "table", problems)
        mine = [problem for problem in problems if problem.startswith(f"table.{field.name}")]
        if value == -1 and request.node.callspec.id in NEGATIVE:
            assert mine == []
        else:
            assert len(mine) == 1, (value, mine)
            assert ": expected " in mine[0]
            assert ", got " in mine[0]
            assert len(mine[0]) < 300


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e308", "-1", "1" + "0" * 30, "1" + "0" * 5000])
def test_absurd_times_in_a_file(value):
    """A time that cannot be waited for is one problem of the configuration, however it is written."""
    with pytest.raises(ConfigError) as caught:
        parse_config(f"[core]\ndrain_timeout_s = {value}\n")
    problems = caught.value.problems
    assert len(problems) == 1
    assert "expected" in problems[0] or "not TOML" in problems[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -1, 10**30])
def test_absurd_options_in_python(value):
    """Options that are made in Python have the same bounds."""
    with pytest.raises(ValueError, match="drain_timeout_s: expected"):
        CoreOptions(drain_timeout_s=value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, 10**30, 10**4000, "1", True])
async def test_absurd_times_of_calls(value):
    """A call refuses a time that cannot be waited for, and changes nothing."""
    events = evframe.EventInterface(plugins={"memory": MemoryTransport()})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:a")
    async with events:
        with pytest.raises(ValueError, match="timeout_s: expected"):
            await events.raise_event_and_wait("E_A", timeout_s=value)
        with pytest.raises(ValueError, match="timeout_s: expected"):
            await events.wait_for_event("E_A", timeout_s=value)
        with pytest.raises(ValueError, match="expire_s: expected"):
            events.subscribe_event("E_A", "memory:b", value)
        assert events.event("E_A").raised == 0
        assert len(events.subscriptions) == 1
    with pytest.raises(ValueError, match="start_timeout_s: expected"):
        evframe.start_in_thread(plugins={}, start_timeout_s=value)


async def test_longest_times():
    """The longest times that are accepted are waited for without an error."""
    events = evframe.EventInterface(config.Config(core=CoreOptions(drain_timeout_s=2**31 - 1)), plugins={})
    events.register_event("E_A")
    async with events:
        assert await events.raise_event_and_wait("E_A", timeout_s=2**31 - 1) == []

"""Configuration: what is accepted, and every problem at once with its path."""

import attrs
import pytest

import evframe
from evframe.config import is_event_name, is_readable, parse_config, structure


def test_whole_configuration(installed):
    """A configuration's events and subscriptions are there once the interface is made."""
    config = parse_config("""
[core]
default_expire_s = 60
[[events]]
name = "E_A"
params = [{ name = "ip", type = "str" }]
[[subscriptions]]
event = "E_A"
socket = "memory:a"
""")
    events = evframe.EventInterface(config)

    assert [lease.subscriber.socket.canonical for lease in events.subscriptions] == ["memory:a"]
    with pytest.raises(evframe.ParameterError, match="ip"):
        events.raise_event("E_A", {"ip": 1})


def test_every_problem_at_once():
    """Wrong types, unknown keys and duplicates are all reported, each with its path."""
    with pytest.raises(evframe.ConfigError) as caught:
        parse_config("""
surprise = 1
[core]
default_expire_s = "60"
colour = "red"
[[events]]
name = "E_A"
[[events]]
name = "E_B"
params = [{ name = "ip", type = "ipv4" }]
[[subscriptions]]
event = "E_A"
""")
    text = str(caught.value)
    for expected in (
        "surprise",
        "core.default_expire_s",
        "colour",
        "events[1].params[0].type",
        "subscriptions[0].socket",
    ):
        assert expected in text


@pytest.mark.parametrize("value", ['"memory"', "{ memory = 1 }"])
def test_list(value):
    """What is no list is not taken apart into one."""
    with pytest.raises(evframe.ConfigError, match=r"plugins.disable: expected a list, got"):
        parse_config(f"[plugins]\ndisable = {value}\n")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[plugins.nosuch]\na = 1", "plugins.nosuch"),
        ("[plugins.memory]\na = 1", "plugins.memory"),
        ('[[subscriptions]]\nevent = "E"\nsocket = "memory:"', "subscriptions[0].socket"),
        ('[[events]]\nname = ""', "events[0].name"),
    ],
)
def test_problems_found_on_composition(installed, text, path):
    """What only the plugins can tell is reported with its path too."""
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(parse_config(text))
    assert caught.value.problems[0].startswith(path)


@pytest.mark.parametrize("text", ["[", '[[events]]\nname = "E"\n[[events]]\nname = "E"'])
def test_rejected(text):
    """Text that is not TOML and an event declared twice are errors."""
    with pytest.raises(evframe.ConfigError):
        parse_config(text)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int | str, 1, 1.5),
        (int | None, None, "1"),
        (dict[str, int], {"a": 1}, {"a": "1"}),
        (tuple[int, str], (1, "a"), 1),
    ],
)
def test_a_union_is_told_from_a_container(kind, good, bad):
    """A value may be of one of several types; a container of several types is no such choice."""
    problems = []
    assert structure(good, kind, "it", problems) == good
    assert problems == []
    structure(bad, kind, "it", problems)
    assert len(problems) == 1


def test_shared_validators(tmp_path):
    """The name of an event and the path of a file are checked where an option has one, and may be left out."""

    @attrs.frozen
    class Options:
        event: str | None = attrs.field(default=None, validator=is_event_name)
        file: str | None = attrs.field(default=None, validator=is_readable)

    Options()
    Options("E_X", str(tmp_path))
    with pytest.raises(ValueError, match="^event: expected an event name of 1 to 64 bytes, got ''"):
        Options(event="")
    with pytest.raises(ValueError, match="^file: expected a file that can be read, got '/no/such/file'"):
        Options(file="/no/such/file")

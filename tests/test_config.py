"""Configuration: what is accepted, and every problem at once with its path."""

import re

import attrs
import pytest

import evframe
from evframe.config import parse_config
from evframe.config.names import is_event_name


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


BAD = """
surprise = 1
[core]
queue_size = "10"
overflow = "drop"
max_nesting = 0
drain_timeout_s = -1
colour = 1
[plugins]
disable = "x"
memory = 5
[plugins.nosuch]
a = 1
[[events]]
name = "E_A"
[[events]]
name = "E_A"
[[events]]
name = ""
[[events]]
name = "E_P"
params = [{ name = "ip", type = "ipv4" }, 5, { nam = "x" }]
[[events]]
name = "E_Q"
params = [{ name = "a", type = "str" }, { name = "a", type = "int" }]
[[subscriptions]]
event = "E_A"
socket = "memory:"
[[subscriptions]]
event = "E_A"
[[subscriptions]]
event = "E_A"
socket = "nosuch:1"
[[subscriptions]]
event = "E_A"
socket = "memory:a"
expire_s = -5
"""


def test_one_clear_sentence_for_each_problem(installed, tmp_path):
    """What the text, the plugins and the sockets have wrong is told at once: the field, and the form that it takes."""
    file = tmp_path / "bad.toml"
    file.write_text(BAD)
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface.from_toml(file)
    core = "default_expire_s, drain_timeout_s, max_nesting, overflow, probe_idle_s, queue_bytes, queue_size, resolve_every_s, resolve_timeout_s, retries_per_s"

    placed = [re.fullmatch(f"{re.escape(str(file))}:([0-9]+): (.*)", problem) for problem in caught.value.problems]
    lines = {problem[2]: int(problem[1]) for problem in placed}
    unknown = next(problem for problem in lines if "'nosuch:1'" in problem)
    assert unknown.startswith("subscriptions[2].socket: socket 'nosuch:1': expected a scheme of ")
    assert "memory" in unknown
    assert sorted(lines) == sorted([
        unknown,
        "surprise: unknown table, expected one of core, plugins, events, subscriptions, policies, management, routes",
        "core.queue_size: expected int, got '10'",
        "core.overflow: expected one of drop_oldest, drop_newest, block, got 'drop'",
        "core.max_nesting: expected 1 or more, got 0",
        "core.drain_timeout_s: expected 0 or more, got -1.0",
        f"core: unknown key 'colour', expected one of {core}",
        "plugins.disable: expected a list, got 'x'",
        "plugins.memory: expected a table, got 5",
        "plugins.nosuch: no such plugin is installed",
        "events[1].name: duplicate event 'E_A'",
        "events[2].name: expected an event name of 1 to 64 bytes, got ''",
        "events[3].params[0].type: expected one of str, int, float, bool, list, dict, got 'ipv4'",
        "events[3].params[1]: expected a table, got 5",
        "events[3].params[2].name: expected a value, got nothing",
        "events[3].params[2].type: expected a value, got nothing",
        "events[3].params[2]: unknown key 'nam', expected one of name, optional, type",
        "events[4].params[1].name: expected each parameter once, got 'a' again",
        "subscriptions[0].socket: socket 'memory:': expected memory:name of letters and digits, got ''",
        "subscriptions[1].socket: expected a value, got nothing",
        "subscriptions[3].expire_s: expected 0 or more, got -5",
    ])  # fmt: skip
    text = BAD.splitlines()
    assert {text[line - 1] for problem, line in lines.items() if problem.startswith("core")} == {
        'queue_size = "10"',
        'overflow = "drop"',
        "max_nesting = 0",
        "drain_timeout_s = -1",
        "colour = 1",
    }
    assert text[lines["subscriptions[3].expire_s: expected 0 or more, got -5"] - 1] == "expire_s = -5"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("plugins = 5", "plugins: expected a table, got 5"),
        ("core = 'x'", "core: expected a table, got 'x'"),
        ("[events]\nname = 'E'", "events: expected tables, each headed [[events]], got {'name': 'E'}"),
        ("subscriptions = 1", "subscriptions: expected tables, each headed [[subscriptions]], got 1"),
        ("[core]\nmax_nesting = true", "core.max_nesting: expected int, got True"),
        ("[core]\nmax_nesting = 1.5", "core.max_nesting: expected int, got 1.5"),
        ("[core]\n[core]", "not TOML: Cannot declare ('core',) twice (at line 2, column 6)"),
    ],
)
def test_each_form_is_named(text, problem):
    """What has the wrong form is one sentence, and no traceback."""
    with pytest.raises(evframe.ConfigError) as caught:
        parse_config(text)
    assert caught.value.problems == [problem]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file or directory"), (b"a\xff", "expected UTF-8, got the byte 0xff at 1")],
)
def test_file_that_cannot_be_read(tmp_path, content, problem):
    """A file that is not there, or is no text, is a problem that names it."""
    file = tmp_path / "x.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.load_config(file)
    assert caught.value.problems == [f"{file}: {problem}"]


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


def test_names_of_events():
    """An option that names an event is checked."""

    @attrs.frozen
    class Options:
        event: str | None = attrs.field(default=None, validator=is_event_name)

    Options("E_X")
    with pytest.raises(ValueError, match="^event: expected an event name of 1 to 64 bytes, got ''"):
        Options(event="")

"""The JSON Schema of the configuration: it refuses what `check` refuses, and nothing that `check` accepts."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner
from evframe_options import structure
from evframe_options.describing import options_of, tables_of
from evframe_options.installed import installed
from evframe_schema import configuration_schema
from jsonschema import Draft7Validator

from evframe import Config
from evframe.cli import main

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
[core]
queue_size = 10
overflow = "block"
state_path = "/tmp/state"

[[events]]
name = "E_A"
params = [{ name = "x", type = "int", optional = true }]

[[subscriptions]]
event = "E_A"
socket = "udp:127.0.0.1:9000"
rate = 10

[[policies]]
socket = "udp:*"
max_age_s = 5

[plugins]
disable = ["pike"]

[plugins.mi-http]
bind = "127.0.0.1:0"
token = "${env:EVFRAME_TEST_TOKEN}"

[plugins.stream]
keepalive_s = 30

[plugins.syslog]
facility = "daemon"
sd_id = "event@32473"

[management]
schemes = ["udp"]

[routes]
E_A = "json:dumps"
"""
FAULTS = {
    "a number too small": ("queue_size = 10", "queue_size = 0"),
    "a number too large": ("keepalive_s = 30", "keepalive_s = 32768"),
    "a time too long": ("max_age_s = 5", "max_age_s = 3000000000"),
    "not more than zero": ("rate = 10", "rate = 0"),
    "a text for a number": ("queue_size = 10", 'queue_size = "10"'),
    "a number for a text": ('bind = "127.0.0.1:0"', "bind = 8888"),
    "no such choice": ('overflow = "block"', 'overflow = "wait"'),
    "no such type": ('type = "int"', 'type = "integer"'),
    "an unknown key": ("queue_size = 10", "queue_sise = 10"),
    "an unknown key of a plugin": ("keepalive_s = 30", "keep_alive_s = 30"),
    "an unknown key of a subscription": ("rate = 10", "rates = 10"),
    "an unknown table": ("[management]", "[manager]"),
    "an unknown plugin": ("[plugins.stream]\nkeepalive_s = 30", "[plugins.streams]"),
    "an unknown plugin that is disabled": ('"pike"', '"pick"'),
    "a value for a list": ('schemes = ["udp"]', 'schemes = "udp"'),
    "a table for an array": ("[[policies]]", "[policies]"),
    "a missing key": ('event = "E_A"\n', ""),
    "a missing key of an array": ('[[policies]]\nsocket = "udp:*"', "[[policies]]"),
    "an unknown scheme": ("udp:127.0.0.1:9000", "udb:127.0.0.1:9000"),
    "a reference outside of a secret": ('bind = "127.0.0.1:0"', 'bind = "${env:EVFRAME_TEST_BIND}"'),
    "a reference in an option of a plugin beside those of the core": ('"/tmp/state"', '"${env:EVFRAME_TEST_BIND}"'),
    "a boolean for a number": ("rate = 10", "rate = true"),
    "a value of another type in a table": ('E_A = "json:dumps"', "E_A = 1"),
    "no such choice of a plugin": ('facility = "daemon"', 'facility = "demon"'),
    "a form that does not match in a plugin": ('sd_id = "event@32473"', 'sd_id = "event"'),
    "a form that does not match": ('bind = "127.0.0.1:0"', 'unix_socket_mode = "rw"'),
}


@pytest.fixture(scope="module")
def schema():
    return configuration_schema()


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("EVFRAME_TEST_TOKEN", "s3cret")
    monkeypatch.setenv("EVFRAME_TEST_BIND", "127.0.0.1:0")


def refused_by_check(path):
    return CliRunner().invoke(main, ["check", "-c", str(path)]).exit_code != 0


def test_it_is_a_schema(schema):
    """It fits its own dialect, which the first key names."""
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.usefixtures("environment")
def test_a_good_configuration(schema, tmp_path):
    """`check` and the schema accept it."""
    path = tmp_path / "evframe.toml"
    path.write_text(GOOD)

    assert CliRunner().invoke(main, ["check", "-c", str(path)]).output == "ok\n"
    assert [*Draft7Validator(schema).iter_errors(tomllib.loads(GOOD))] == []


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_by_both(schema, tmp_path, fault):
    """`check` and the schema refuse the same."""
    text = GOOD.replace(*FAULTS[fault])
    path = tmp_path / "evframe.toml"
    path.write_text(text)

    assert text != GOOD
    assert refused_by_check(path)
    assert not Draft7Validator(schema).is_valid(tomllib.loads(text))


@pytest.mark.usefixtures("environment")
def test_taplo_finds_each_fault_and_no_other(schema, tmp_path):
    """The tool of editors, offline: the schema is named by the first line of the file."""
    taplo = Path(sys.executable).with_name("taplo")
    if not taplo.exists():
        pytest.skip("taplo is not installed")
    (tmp_path / "evframe.schema.json").write_text(json.dumps(schema))
    texts = {"good": GOOD} | {name: GOOD.replace(*change) for name, change in FAULTS.items()}
    found = {}
    for name, text in texts.items():
        path = tmp_path / f"{name.replace(' ', '-')}.toml"
        path.write_text(f"#:schema ./evframe.schema.json\n{text}")
        done = subprocess.run(
            [taplo, "lint", path],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "RUST_LOG": "error"},
        )
        found[name] = done.returncode != 0

    assert found == {name: name != "good" for name in texts}


def blocks():
    for path in sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md"), ROOT / "README.md"]):
        for number, text in enumerate(re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)):
            yield pytest.param(text, id=f"{path.relative_to(ROOT)}-{number}")
    for path in sorted(ROOT.glob("examples/**/*.toml")):
        yield pytest.param(path.read_text(), id=str(path.relative_to(ROOT)))


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="the pages are in a checkout")
@pytest.mark.parametrize("text", [*blocks()])
def test_the_schema_accepts_the_examples(schema, text):
    """What the pages show is no fault."""
    tables = tomllib.loads(text)
    for lease in tables.get("subscriptions", []):  # pages show keys of one without the others
        lease.setdefault("event", "E_A")
        lease.setdefault("socket", "udp:127.0.0.1:9000")

    assert [error.message for error in Draft7Validator(schema).iter_errors(tables)] == []


def test_every_option_is_in_it(schema):
    """Each option of the core and of the installed plugins has its type, its description and its default."""
    tables = schema["properties"]["plugins"]["properties"]
    for plugin in installed():
        for option in options_of(plugin.options, inherited=True) if plugin.options else ():
            found = tables[plugin.name]["properties"][option.name]
            assert found.get("description", "") == option.meaning.replace("``", "`")
    for option in options_of(options_of(Config)[0].type):
        assert schema["properties"]["core"]["properties"][option.name]["default"] == option.default


def test_the_command_prints_it(schema):
    """`evframe schema config` prints what the function returns."""
    done = CliRunner().invoke(main, ["schema", "config"])

    assert json.loads(done.output) == schema


def test_the_package_has_one_for_all_plugins():
    """Its file describes the plugins of the project; it is no other than what the code generates."""
    shipped = json.loads(files("evframe_schema").joinpath("evframe.schema.json").read_bytes())
    own = set(shipped["properties"]["plugins"]["properties"]) - {"disable"}

    assert shipped == configuration_schema([plugin for plugin in installed() if plugin.name in own])


def wrong_values(schema):
    """Return values that a property of a schema refuses: of another type, beyond its bounds, and of another form."""
    for part in schema.get("anyOf", [schema]):
        if "enum" in part:
            yield "no such choice"
            yield from (kind(value) for value in part["enum"] if value in {0, 1} for kind in (bool, float))
        if "minimum" in part:
            yield part["minimum"] - 1
        if "exclusiveMinimum" in part:
            yield part["exclusiveMinimum"]
        if "maximum" in part:
            yield part["maximum"] + 1
        if "pattern" in part:
            yield "\n"
    kinds = {part.get("type") for part in schema.get("anyOf", [schema])}
    samples = {"string": "a", "integer": 7, "boolean": True, "array": [[]], "object": {"a": []}}
    yield from (value for kind, value in samples.items() if kind not in kinds and kinds != {None})


def options_with_schemas(options, schema):
    """Yield the class of a table, an option of it and the schema of that, of the tables within a table, too."""
    for option in options_of(options, inherited=True):
        part = schema["properties"][option.name]
        yield options, option.name, part
        inner = part.get("items", part.get("additionalProperties") or part)
        if (table := tables_of(option.type)) is not None and "properties" in inner:
            yield from options_with_schemas(table, inner)


ODD = ["", "a", "a b", "\n", "\0", "é", "${env:A}", "/tmp", "a" * 300, "127.0.0.1:1", "http://a/", "*", "[a]b"]
ODD += [0, -1, 7, 1.5, True, 2**31, 2**63, float("nan"), [], [""], ["a", "a"], [7], {}, {"a": "b"}, {"": 7}, [{}]]


def test_each_wrong_value_of_each_option_is_refused_by_both(schema):
    """A schema and a reader that come from one class do not drift apart: this compares what they refuse.

    A value alone in its table is a problem that names it, or none: no rule needs options that are missing.
    """
    tables = schema["properties"]["plugins"]["properties"]
    refused = 0
    for plugin in installed():
        for options, name, part in options_with_schemas(plugin.options, tables[plugin.name]) if plugin.options else ():
            accepts = Draft7Validator(part).is_valid
            for value in ODD:
                structure({name: value}, options, "it", [])
            for value in wrong_values(part):
                if accepts(value):
                    continue  # an option of several types, or a whole number for a float
                problems = []
                structure({name: value}, options, "it", problems)
                assert any(problem.startswith((f"it.{name}:", f"it.{name}.", f"it.{name}[")) for problem in problems), (
                    plugin.name,
                    name,
                    value,
                    problems,
                )
                refused += 1
    assert refused > 900

"""The JSON Schema of the options of one plugin."""

import json

import attrs
from click.testing import CliRunner
from evframe_options import above, at_least, matching, one_of, within
from evframe_options.installed import Installed
from evframe_schema import configuration_schema
from jsonschema import Draft7Validator

from evframe.cli import main


@attrs.frozen
class Inner:
    """A part."""

    name: str
    port: int = attrs.field(default=5060, validator=within(1, 65535))


@attrs.frozen
class Options:
    """How it works."""

    share: float = attrs.field(default=0.5, validator=above(0, 1))
    """The share."""
    mode: str = attrs.field(default="644", validator=matching("[0-7]+", "an octal mode"))
    level: int | None = attrs.field(default=None, validator=attrs.validators.optional(one_of(-1, 1)))
    size: int = attrs.field(default=0, validator=[at_least(0), lambda *_: None])
    timeout_ms: int = 5
    parts: list[Inner] = attrs.field(factory=list)
    by_name: dict[str, Inner] = attrs.field(factory=dict)
    anything: dict[str, object] = attrs.field(factory=dict)
    port: int | str = 0


class Plugin:
    Options = Options


def test_what_the_validators_check():
    """Bounds, values and patterns are those of the validators, also within lists and `optional`."""
    schema = configuration_schema([Installed("mine", "1", Plugin), Installed("broken", "1", problem="ImportError: x")])
    found = schema["properties"]["plugins"]["properties"]["mine"]["properties"]

    assert found["share"] == {
        "description": "The share.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "default": 0.5,
    }
    assert found["mode"] == {
        "type": "string",
        "pattern": "^([0-7]+)$",
        "not": {"pattern": r"\$\{(file|env):"},
        "default": "644",
    }
    assert found["level"] == {"type": "integer", "enum": [-1, 1]}
    assert found["size"] == {"type": "integer", "minimum": 0, "default": 0}
    assert found["timeout_ms"] == {"type": "integer", "minimum": 0, "maximum": 2**31 - 1, "default": 5}
    assert found["parts"]["items"]["required"] == ["name"]
    assert found["parts"]["items"]["properties"]["port"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 65535,
        "default": 5060,
    }
    assert found["by_name"]["additionalProperties"] == found["parts"]["items"]
    assert found["anything"]["additionalProperties"] == {}
    assert [each["type"] for each in found["port"]["anyOf"]] == ["integer", "string"]
    assert "ImportError" in schema["properties"]["plugins"]["properties"]["broken"]["description"]


def test_the_command_prints_what_the_function_returns():
    """`evframe schema config` prints a schema that fits its dialect."""
    done = CliRunner().invoke(main, ["schema", "config"])

    assert json.loads(done.output) == configuration_schema()
    Draft7Validator.check_schema(configuration_schema())

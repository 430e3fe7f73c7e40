"""The commented configuration: every option, with its description and its default."""

import tomllib
from typing import ClassVar

import attrs
import pytest
from evframe_init import commented_configuration
from evframe_options.describing import FROM_OTHERS, options_of
from evframe_options.installed import Installed, installed

import evframe


@attrs.frozen
class Inner:
    """One server."""

    name: str
    """What it is called."""
    port: int = 5060
    """Where."""


@attrs.frozen
class Options:
    """How it works.

    And more.
    """

    servers: list[Inner] = attrs.field(factory=list)
    """The servers."""
    text: str = 'a "quoted" \\ text\n'
    """A text with a very long description, which goes over the end of a line, so that it is wrapped at a space, and
    continues on another one."""
    ratio: float = 0.5
    """Half."""
    names: list[str] = attrs.field(factory=lambda: ["a", "b"])
    """The names."""
    table: dict[str, int] = attrs.field(factory=dict)
    """Numbers by name."""
    secret: str | None = None
    """Nothing by default."""
    other: str = attrs.Factory(lambda self: self.text, takes_self=True)
    """As another one."""
    state: str | None = None
    """Where it is kept."""
    routes: dict[str, str] = attrs.field(factory=dict)
    """What is called."""


class Plugin:
    Options = Options
    schemes = ("udp",)
    places: ClassVar = {"core.state_path": "state", "routes": "routes"}
    policy_keys = frozenset({"rate"})


MINE = Installed("mine", "1.2.3", Plugin)


@pytest.fixture
def text():
    return commented_configuration([MINE])


def section(text, header):
    """Return the lines of a table, with what describes it."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return next(block for block in blocks if header in block)


def test_a_table_with_its_options(text):
    """Each option has its description, its default and its type; tables within it follow."""
    assert section(text, "#[plugins.mine]") == [
        "# evframe-mine 1.2.3: How it works.",
        "#[plugins.mine]",
        "# A text with a very long description, which goes over the end of a line, so that it is wrapped at a space, and",
        "# continues on another one.",
        r'#text = "a \"quoted\" \\ text\n"  # str',
        "# Half.",
        "#ratio = 0.5  # float",
        "# The names.",
        '#names = ["a", "b"]  # list[str]',
        "# Numbers by name.",
        "#table = {  }  # dict[str, int]",
        "# Nothing by default.",
        "#secret =  # str",
        "# As another one.",
        "#other =  # str, follows from other options",
    ]
    assert section(text, "#[[plugins.mine.servers]]") == [
        "# The servers. One server.",
        "#[[plugins.mine.servers]]",
        "# What it is called.",
        "#name =  # str, required",
        "# Where.",
        "#port = 5060  # int",
    ]


def test_options_at_other_places(text):
    """An option that stands outside of its plugin's table is at that place alone."""
    assert section(text, "[core]")[-2:] == ["# Where it is kept.", "#state_path =  # str"]
    assert section(text, "#[routes]") == ["# What is called.", "#[routes]"]


def test_policies_have_the_keys_that_a_plugin_follows(text):
    """Without a plugin that follows a key, the key would be an error."""
    keys = [line.partition(" =")[0] for line in section(text, "#[[policies]]") if " =" in line]
    assert keys == ["#socket", "#rate"]
    assert "may\n# stand here, too." in "\n".join(section(text, "[[subscriptions]]"))


def test_what_is_no_comment(text):
    """It is an event with a subscription, where a plugin has its scheme."""
    subscription = {"event": "E_EXAMPLE", "socket": "udp:127.0.0.1:9000"}
    assert tomllib.loads(text) == {"core": {}, "events": [{"name": "E_EXAMPLE"}], "subscriptions": [subscription]}
    none = commented_configuration([])
    assert tomllib.loads(none) == {"core": {}, "events": [{"name": "E_EXAMPLE"}]}
    assert "#socket =  # str, required" in none


def test_a_plugin_that_cannot_be_loaded():
    """It is named with the reason, on one line whatever the reason has."""
    text = commented_configuration([Installed("broken", "1", problem="ImportError: no\nname = 1")])
    assert "# The plugin broken cannot be loaded: ImportError: no name = 1" in text.splitlines()
    tomllib.loads(text)


def defaults(cls):
    given = {option.name: option.default for option in options_of(cls)}
    return {name: value for name, value in given.items() if value not in (attrs.NOTHING, None, FROM_OTHERS)}


def uncommented(lines):
    """Return the table whose options have a value, when their lines are no comments any more."""
    found = [line.removeprefix("#") for line in lines if line[:2] != "# " and " =  #" not in line]
    return tomllib.loads("\n".join(found))


def test_the_installed_plugins_with_their_defaults():
    """Every option with a default has a line which is that default."""
    text = commented_configuration()
    seen = 0
    for plugin in installed():
        if plugin.options is None or plugin.options is Options:
            continue
        elsewhere = set(plugin.places.values())
        wanted = {
            name: value
            for name, value in defaults(plugin.options).items()
            if name not in elsewhere and not any(o.name == name and o.table for o in options_of(plugin.options))
        }
        if not wanted:
            continue
        header = f"plugins.{plugin.name}"
        lines = section(text, f"[{header}]" if f"\n[{header}]" in text else f"#[{header}]")
        assert uncommented(lines)["plugins"][plugin.name] == wanted, plugin.name
        seen += 1
    core = next(field.type for field in attrs.fields(evframe.Config) if field.name == "core")
    assert uncommented(section(text, "[core]"))["core"] == defaults(core)
    assert seen or not [plugin for plugin in installed() if plugin.options is not None]

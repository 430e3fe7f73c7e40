"""References to secrets in the options of plugins."""

import attrs
import pytest
from evframe_options import secret

import evframe
from evframe.config import parse_config
from evframe.plugins.changes import Changes
from evframe.plugins.compose import make_options
from evframe.plugins.filling import FillingReader, shown_option, unfilled
from evframe.subscriptions.references import Values


def _long_enough(_, attribute, value):
    if value is not None and len(value) < 3:
        raise ValueError(f"{attribute.name}: expected 3 characters or more, got {value!r} ({value})")


@attrs.frozen
class Connection:
    """One of several."""

    name: str
    uri: str = attrs.field(default="x://u:p@h/", metadata=secret(in_url=True), repr=False)
    properties: dict[str, str | int] = attrs.field(factory=dict, metadata=secret(), repr=False)


@attrs.frozen
class Options:
    """Those of a plugin."""

    token: str | None = attrs.field(default=None, metadata=secret(), repr=False, validator=_long_enough)
    plain: str = ""
    connections: list[Connection] = attrs.field(factory=list)
    tables: dict[str, str] = attrs.field(factory=dict)


class Keeper:
    """A plugin that keeps its options."""

    Options = Options

    def __init__(self, options):
        self.options = options

    @evframe.hookimpl
    def reconfigure(self, options):
        self.options = options


def made(table):
    reader = FillingReader(Values())
    options = make_options("plugins.keeper", Keeper, table, reader)
    return options, [*reader.explained()]


def test_secrets_get_their_values(tmp_path, monkeypatch):
    """Every option that is a secret, however deep in the table, gets the values; URLs get them percent-encoded."""
    (tmp_path / "pw").write_text("p w/@\n")
    monkeypatch.setenv("TOKEN", "sword/fish")
    file = f"${{file:{tmp_path}/pw}}"
    connection = {"name": "a", "uri": f"x://u:{file}@h/", "properties": {"sasl.password": file, "n": 3}}
    options, problems = made({"token": "${env:TOKEN}", "connections": [connection, {"name": "b"}]})
    assert problems == []
    assert options.token == "sword/fish"
    first, second = options.connections
    assert (first.uri, first.properties, second.uri) == (
        "x://u:p%20w%2F%40@h/",
        {"sasl.password": "p w/@", "n": 3},
        "x://u:p@h/",
    )


def test_a_url_that_is_nothing_but_a_reference(monkeypatch):
    """The value is the whole URL, and is not encoded."""
    monkeypatch.setenv("URI", "x://u:p%2F@h/v")
    options, problems = made({"connections": [{"name": "a", "uri": "${env:URI}"}]})
    assert (problems, options.connections[0].uri) == ([], "x://u:p%2F@h/v")
    assert shown_option(options.connections[0].uri, lambda _: "of the value") == "${env:URI}"


def test_what_is_shown_has_the_references(monkeypatch):
    """The repr of a text, and what is shown of it, are as it is configured."""
    monkeypatch.setenv("SECRET", "swordfish")
    options, _ = made({"token": "a${env:SECRET}", "connections": [{"name": "a", "uri": "x://${env:SECRET}:pw@h/"}]})
    uri = options.connections[0].uri
    assert (repr(options.token), uri) == ("'a${env:SECRET}'", "x://swordfish:pw@h/")
    assert shown_option(uri, lambda text: text.replace(":pw@", ":***@")) == "x://${env:SECRET}:***@h/"
    assert shown_option("x://u:pw@h/", str.upper) == "X://U:PW@H/"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"token": "${env:EVFRAME_NONE}"}, "token: expected the variable of ${env:EVFRAME_NONE} in the environment"),
        ({"token": "${file:/no/file}"}, "token: expected a file that can be read in ${file:/no/file}: No such file"),
        ({"token": "${env:A"}, "token: expected ${file:/path} or ${env:NAME}, or $${ for ${ itself"),
        ({"token": "${env:SHORT}"}, "token: expected a value that fits its place from ${env:SHORT}"),
        (
            {"connections": [{"name": "a"}, {"name": "b", "uri": "${file:no}"}]},
            "connections[1].uri: expected an absolute path in ${file:no}",
        ),
        (
            {"connections": [{"name": "a", "properties": {"x": "${file:no}"}}]},
            "connections[0].properties.x: expected an absolute path in ${file:no}",
        ),
        ({"plain": "${env:WORD}"}, "plain: expected a text without ${file:/path} or ${env:NAME}, which only a secret"),
        ({"tables": {"a": "${env:WORD}"}}, "tables.a: expected a text without ${file:/path} or ${env:NAME}, which"),
    ],
)
def test_one_error_for_each_secret_that_is_missing(monkeypatch, table, problem):
    """What is wrong with a reference is one problem with the path of the option, without a value."""
    monkeypatch.setenv("SHORT", "qz")
    monkeypatch.setenv("WORD", "swordfish")
    _, problems = made(table)
    [text] = problems
    assert text.startswith(f"plugins.keeper.{problem}")
    assert "qz" not in text


def test_other_problems_of_the_table_are_named_beside_it():
    """A missing secret hides none of the other problems."""
    _, problems = made({"token": "${env:EVFRAME_NONE}", "plain": 3, "odd": 1})
    assert len(problems) == 3


@pytest.fixture
def keeper(install, monkeypatch):
    import sys
    import types

    install(keeper="keeper_plugin:Keeper")
    monkeypatch.setitem(sys.modules, "keeper_plugin", types.SimpleNamespace(Keeper=Keeper))


def config(token):
    from importlib.metadata import entry_points

    others = sorted({entry.name for entry in entry_points(group="evframe")} - {"keeper"})
    return parse_config(f"plugins.disable = {others}\n[plugins.keeper]\ntoken = '{token}'\n")


async def test_a_reload_reads_secrets_of_options_again(keeper, tmp_path):
    """A file that has changed is an option that has changed; one that has gone is an error, and changes nothing."""
    path = tmp_path / "token"
    path.write_text("first\n")
    token = f"${{file:{path}}}"
    async with evframe.EventInterface(config(token)) as events:
        assert events.plugin("keeper").options.token == "first"
        assert events.reload(config(token)) == Changes()
        path.write_text("second\n")
        before = events.plugin("keeper").options
        assert events.reload(config(token)) == Changes(plugins=["keeper"])
        after = events.plugin("keeper").options
        assert (after.token, before == after, unfilled(before) == unfilled(after)) == ("second", False, True)
        path.unlink()
        with pytest.raises(evframe.ConfigError, match=r"^plugins.keeper.token: expected a file that can be read"):
            events.reload(config(token))
        assert events.plugin("keeper").options.token == "second"

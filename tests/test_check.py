"""`evframe check`: what the plugins and the names of a configuration have wrong, each with its place in the file."""

import json
from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner

import evframe
from evframe.cli import main
from evframe.config import parse_config

ONE = """
class Source:
    @evframe.hookimpl
    def register_events(self, collector):
        collector.add("E_PIKE_BLOCKED", {"ip": str, "count": int})
"""
PLUGINS = {
    "one": ONE,
    "two": ONE.replace('"count": int', '"count": str'),
    "broken": "import evframe_no_such_library\n",
    "cable": "class Source(evframe.testing.MemoryTransport):\n    schemes = ('memory',)\n",
}


@pytest.fixture
def check(tmp_path, install):
    """Check a configuration with the named plugins installed; return the exit code and both outputs, in lines."""

    def check(text, *names, head=""):
        folder = install(**{name: f"check_{name}:Source" for name in names}, memory="evframe.testing:MemoryTransport")
        for name in names:
            (folder / f"check_{name}.py").write_text(f"import evframe, evframe.testing\n{PLUGINS[name]}")
        others = sorted(
            {entry.name for entry in entry_points(group="evframe")} - {*names, "memory", "mi"}
        )  # which has `[management]`
        file = tmp_path / "evframe.toml"
        file.write_text(f"{head}{text}" if head else f"plugins.disable = {json.dumps(others)}\n{text}")
        result = CliRunner().invoke(main, ["check", "-c", str(file)])
        lines = [line.replace(str(file), "FILE") for line in result.stderr.splitlines()]
        return result.exit_code, result.stdout.splitlines(), lines

    return check


def test_a_configured_plugin_that_cannot_be_loaded_fails(check):
    """The plugin, the cause, the file and the line are named; a plugin without a table is no problem."""
    cause = "ModuleNotFoundError: No module named 'evframe_no_such_library'"
    assert check("\n[plugins.broken]\n", "broken") == (
        1,
        [],
        [f"FILE:3: plugins.broken: expected a plugin that can be loaded, got {cause}"],
    )


def test_a_plugin_that_cannot_be_loaded_and_is_not_configured_passes(check):
    """What is installed and not used may be broken."""
    assert check("", "broken") == (0, ["ok"], [])


def test_a_scheme_names_the_plugins_that_could_have_it(check):
    """The schemes of a plugin that cannot be loaded are not known: its cause is in the problem of an unknown scheme."""
    code, _, (problem,) = check('[[subscriptions]]\nevent = "E_A"\nsocket = "fax:a"\n', "broken")
    assert code == 1
    assert problem == (
        "FILE:4: subscriptions[0].socket: socket 'fax:a': expected a scheme of memory, got 'fax',"
        " which no loaded plugin has; the plugin 'broken' is not loaded:"
        " ModuleNotFoundError: No module named 'evframe_no_such_library'"
    )


def test_disabling_what_is_not_installed_fails(check):
    """The entry of `plugins.disable` is named, with the installed plugin that it resembles."""
    text = '[plugins]\ndisable = [\n  "mi-http",\n  "memroy",\n]\n'
    code, _, problems = check("", head=text)
    assert code == 1
    assert problems == ["FILE:2: plugins.disable[1]: expected an installed plugin, got 'memroy', did you mean 'memory'"]


def test_two_plugins_with_one_scheme_fail(check):
    """Which of them would get the sockets is not left to the order of their names."""
    code, _, problems = check("[plugins.memory]\n", "cable")
    assert code == 1
    assert problems == [
        (
            "FILE:2: plugins.memory: expected no scheme of another plugin, got 'memory', which 'cable' has;"
            " disable one of them"
        )
    ]


def test_two_plugins_with_one_event_fail(check):
    """An event has the declaration of one plugin."""
    code, _, problems = check("", "one", "two")
    assert code == 1
    assert problems == [
        (
            "FILE:1: plugins.two: expected no event of another plugin, got 'E_PIKE_BLOCKED', which 'one' has;"
            " disable one of them"
        )
    ]


EVENT = '[[events]]\nname = "E_PIKE_BLOCKED"\n'
PARAMS = EVENT + 'params = [{ name = "ip", type = "str" }, { name = "count", type = "%s" }]\n'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (EVENT, []),
        (PARAMS % "int", []),
        (
            PARAMS % "float",
            [
                (
                    "FILE:4: events[0].params: expected (ip str, count int), as the plugin 'one' declares 'E_PIKE_BLOCKED',"
                    " or no params, got (ip str, count float)"
                )
            ],
        ),
    ],
)
def test_configured_events_that_contradict_a_plugin_fail(check, text, problems):
    """The parameters of both are shown; the same parameters, and none, contradict nothing."""
    assert check(text, "one") == (int(bool(problems)), [] if problems else ["ok"], problems)


def test_what_is_not_installed_is_named_with_its_package(check):
    """A missing plugin, and the scheme of one, name the command that installs it; another name has a hint."""
    text = "[plugins.mi-telnet]\n[plugins.memry]\n[[subscriptions]]\nevent = 'E_A'\nsocket = 'memmory:a'\n"
    code, _, problems = check(text)
    assert code == 1
    assert problems == [
        "FILE:2: plugins.mi-telnet: no such plugin is installed",
        "FILE:3: plugins.memry: no such plugin is installed, did you mean 'memory'",
        (
            "FILE:6: subscriptions[0].socket: socket 'memmory:a': expected a scheme of memory, got 'memmory',"
            " which no loaded plugin has, did you mean 'memory'"
        ),
    ]


def test_a_scheme_names_the_package_to_install():
    """Of a scheme whose plugin is not installed, disabled, or cannot be loaded, the error says so."""
    found = evframe.EventInterface(plugins={"memory": evframe.testing.MemoryTransport()})
    with pytest.raises(evframe.SocketError, match=r"no loaded plugin has, pip install evframe-kafka$"):
        found.parse_socket("kafka:h/topic")
    disabled = evframe.EventInterface(parse_config("[plugins]\ndisable = ['kafka']\n"))
    with pytest.raises(evframe.SocketError, match="whose plugin 'kafka' is not loaded: disabled in the configuration"):
        disabled.parse_socket("kafka:h/topic")


def test_a_misspelt_event_has_a_hint(check):
    """A name that resembles a declared event is a hint: any event may be subscribed, so that it is no problem."""
    text = (
        "[[events]]\nname = 'E_CALL_RATED'\n[[subscriptions]]\nevent = 'E_PIKE_BLOKED'\nsocket = 'memory:a'\n"
        "[[subscriptions]]\nevent = 'E_UNLIKE'\nsocket = 'memory:a'\n"
        "[management]\nraise_events = ['E_CALL_*', 'E_CALL_RATD']\n"
    )
    code, output, hints = check(text, "one")
    assert (code, output) == (0, ["ok"])
    assert hints == [
        (
            "hint: FILE:5: subscriptions[0].event: expected a declared event, got 'E_PIKE_BLOKED',"
            " did you mean 'E_PIKE_BLOCKED'"
        ),
        (
            "hint: FILE:11: management.raise_events[1]: expected a declared event, got 'E_CALL_RATD',"
            " did you mean 'E_CALL_RATED'"
        ),
    ]


def test_a_misspelt_route_has_a_hint():
    """A route for an event that resembles a declared one has a hint, although the route plugin adds its name."""
    text = "[routes]\nE_PIKE_BLOKED = 'os.path:join'\n"
    events = evframe.EventInterface(parse_config(text))
    assert events.composition.hints == [
        "routes.E_PIKE_BLOKED: expected a declared event, got 'E_PIKE_BLOKED', did you mean 'E_PIKE_BLOCKED'"
    ]


def test_an_unknown_key_lists_the_accepted_ones():
    """A management plugin takes the keys of the policy too, and what is computed is no key."""
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(parse_config("[plugins.mi-http]\ncolour = 1\nschemes = ['udp']\n"))
    (problem,) = caught.value.problems
    listed = problem.partition("expected one of ")[2].split(", ")
    assert {"bind", "schemes", "networks", "raise_events"} <= {*listed}
    for key in listed:
        with pytest.raises(evframe.ConfigError) as caught:
            evframe.EventInterface(parse_config(f"[plugins.mi-http]\n{key} = {{}}\n"))
        assert "unknown key" not in str(caught.value)

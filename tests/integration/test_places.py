"""Options of plugins that stand outside of their plugins' tables."""

from importlib.metadata import entry_points

import pytest
from evframe_route import Options, RouteTransport

import evframe
from evframe.config import Config, parse_config
from evframe.config.hints import published
from evframe.plugins.compose import compose
from evframe.plugins.composition import Composition


def problems(text):
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(parse_config(text))
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("routes = 1", "routes: expected a table, got 1"),
        ("[routes]\nE = 5", "routes.E: expected str, got 5"),
        ("management = 1", "management: expected a table, got 1"),
        ("[management]\nschemes = 5", "management.schemes: expected a list, got 5"),
        ("[core]\nstate_path = 5", "core.state_path: expected str, got 5"),
        (
            '[core]\nstate_path = "a"\n[plugins.state]\npath = "b"',
            "core.state_path: expected it once, got plugins.state.path too",
        ),
        (
            '[routes]\nE = "os:getcwd"\n[plugins.route.routes]\nE = "os:getcwd"',
            "routes: expected it once, got plugins.route.routes too",
        ),
        (
            "[management]\n[plugins.mi.management]",
            "management: expected it once, got plugins.mi.management too",
        ),
    ],
)
def test_each_form_is_named(text, problem):
    """What is wrong with such an option names the place at which it stands, or both where it stands twice."""
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[routes]\nE = "os:getcwd"', "routes: the plugin 'route' is not installed, pip install evframe-route"),
        (
            '[core]\nstate_path = "a"',
            "core.state_path: the plugin 'state' is not installed, pip install evframe-state",
        ),
        (
            "[management]\nschemes = []",
            "management: the plugin 'mi' is not installed, pip install evframe-mi",
        ),
    ],
)
def test_missing_packages_are_named(text, problem):
    """An option whose package is not installed is an error with the command that installs it."""
    others = [entry for entry in entry_points(group="evframe") if entry.name not in {"mi", "route", "state"}]
    assert compose(parse_config(text), found=others).problems == [problem]


def test_objects_have_their_options():
    """Beside plugin objects such an option would have no effect, and is an error."""
    for place, text in (
        ("management", "[management]"),
        ("routes", "[routes]"),
        ("core.state_path", "[core]\nstate_path = ''"),
    ):
        with pytest.raises(evframe.ConfigError, match=f"{place}: expected none beside plugin objects"):
            evframe.EventInterface(parse_config(text), plugins={})
    assert {*published().places} == {"management", "routes", "core.state_path"}


def test_a_plugin_that_is_removed_refers_to_no_event():
    """The events that options name go with their plugin, so that no hint is about an option without effect."""
    composition = Composition(Config())
    composition.add(composition.make("route", RouteTransport(Options(routes={"E_X": "os:getcwd"}))))
    assert composition.references == {"plugins.route.routes.E_X": "E_X"}
    composition.remove("route")
    assert composition.references == {}

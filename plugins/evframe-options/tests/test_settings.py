"""Settings of the command line."""

import datetime as dt

import pytest
from evframe_options import Setting


@pytest.mark.parametrize(
    ("text", "keys", "value"),
    [
        ("core.queue_size=1000", ("core", "queue_size"), 1000),
        ("core.queue_size = 1_000", ("core", "queue_size"), 1000),
        ('routes."E.A=B"=app:on', ("routes", "E.A=B"), "app:on"),
        ("routes.'E A' = 'app:on'", ("routes", "E A"), "app:on"),
        ("plugins.mi-http.bind=127.0.0.1:8888", ("plugins", "mi-http", "bind"), "127.0.0.1:8888"),
        ("a=true", ("a",), True),
        ("a=True", ("a",), "True"),
        ("a=1.5", ("a",), 1.5),
        ('a="1000"', ("a",), "1000"),
        ("a=", ("a",), ""),
        ("a=b=c", ("a",), "b=c"),
        ('a=["x", "y"]', ("a",), ["x", "y"]),
        ("a={ b = 1 }", ("a",), {"b": 1}),
        ("a=1, 2", ("a",), "1, 2"),
        ("a=1]", ("a",), "1]"),
        ("a=12#34", ("a",), "12#34"),
        ("a=1 # no comment", ("a",), "1 # no comment"),
        ("a=1\nb = 2", ("a",), "1\nb = 2"),
        ('a="x', ("a",), '"x'),
        ("a=2026-11-28", ("a",), dt.date(2026, 11, 28)),
    ],
)
def test_key_and_value(text, keys, value):
    """A value of TOML is one, and everything else is text; a key is one of TOML."""
    found = Setting.parse(text)
    assert (found.keys, found.value, type(found.value)) == (keys, value, type(value))


@pytest.mark.parametrize("text", ["", "a", "=1", "a b=1", "a.=1", ".a=1", "[a]\nb=1", "é=1", '"a=1'])
def test_no_setting(text):
    """What has no key of TOML names the accepted form."""
    with pytest.raises(ValueError, match="expected KEY=VALUE, such as core.queue_size=1000, got"):
        Setting.parse(text)


def test_applied_over_what_exists():
    """A value replaces that of the tables, makes the tables that it needs, and is never shared with them."""
    setting = Setting.parse("core.inner={ a = 1 }")
    tables = {"core": {"inner": 5, "b": 2}}
    setting.apply(tables)
    assert tables == {"core": {"inner": {"a": 1}, "b": 2}}
    tables["core"]["inner"].clear()
    empty = {}
    setting.apply(empty)
    assert empty == {"core": {"inner": {"a": 1}}}


@pytest.mark.parametrize(("value", "kind"), [([{}], "list"), (5, "value")])
def test_way_through_another_kind(value, kind):
    """A path that leads through a list or a value is refused, with where."""
    with pytest.raises(ValueError, match=f"^events.x.name: expected a table at events, got a {kind}$"):
        Setting.parse("events.x.name=E").apply({"events": value})

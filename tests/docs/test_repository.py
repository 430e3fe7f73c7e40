"""The repository: every plugin has the same shape, and no list names them."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").exists())
CI = ROOT / ".ci"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("plugin", PLUGINS)
def test_shape(plugin):
    """The distribution, its package, its entry point and its page have one name."""
    name = plugin.removeprefix("evframe-")
    package = plugin.replace("-", "_")
    project = tomllib.loads((ROOT / "plugins" / plugin / "pyproject.toml").read_text())["project"]
    entries = project.get("entry-points", {}).get("evframe", {})

    assert project["name"] == plugin
    assert set(entries) <= {name}
    assert all(target.startswith(f"{package}:") for target in entries.values())
    for path in (f"{package}/__init__.py", f"{package}/py.typed", "README.md", "tests"):
        assert (ROOT / "plugins" / plugin / path).exists(), path
    assert (ROOT / "docs" / "reference" / "plugins" / f"{name}.md").exists()
    page = f"{PROJECT['project']['urls']['Homepage']}/blob/main/docs/reference/plugins/{name}.md"
    assert f"[`{plugin}`]({page})" in (ROOT / "README.md").read_text()
    assert f"reference/plugins/{name}.md" in (ROOT / "docs" / "index.md").read_text()


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_list_names_the_plugins(plugin):
    """The type checker, the linter of imports, the workspace, tox and the scripts find a new plugin by its folder."""
    reasons = {
        "pyproject.toml": {
            "evframe-aws-clients",
            "evframe-cesql",
            "evframe-client",
            "evframe-cloudevents",
            "evframe-connections",
            "evframe-core-events",
            "evframe-datagram",
            "evframe-declarations",
            "evframe-files",
            "evframe-flatstore",
            "evframe-fleet",
            "evframe-http",
            "evframe-ingest",
            "evframe-init",
            "evframe-journal",
            "evframe-kafka-clients",
            "evframe-lease-events",
            "evframe-live",
            "evframe-metrics",
            "evframe-mi",
            "evframe-mi-datagram",
            "evframe-mi-http",
            "evframe-nats-clients",
            "evframe-mqtt-clients",
            "evframe-policies",
            "evframe-probing",
            "evframe-redis-clients",
            "evframe-resolver",
            "evframe-route",
            "evframe-state",
            "evframe-shards",
            "evframe-stream",
            "evframe-systemd",
            "evframe-options",
            "evframe-timing",
            "evframe-virtual",
            "evframe-web",
            "evframe-wire",
        },  # the sources of uv, and the extra `gateway`
        ".ci/coverage": {"evframe-stream"},  # an example
        "CONTRIBUTING.md": {"evframe-kafka", "evframe-mi", "evframe-stream"},  # examples, and a contract
    }
    names = re.compile(rf"\b({plugin}|{plugin.replace('-', '_')})\b(?!-)")
    files = [
        "pyproject.toml",
        "tox.ini",
        "toxfile.py",
        "CONTRIBUTING.md",
        *(f".ci/{path.name}" for path in CI.iterdir()),
    ]

    named = {file for file in files if names.search((ROOT / file).read_text())}
    assert named == {file for file, plugins in reasons.items() if plugin in plugins}


def test_the_sources_of_uv_are_what_others_need():
    """The distributions that uv takes from the workspace are those that another one of the workspace needs."""
    projects = [
        PROJECT,
        *(tomllib.loads((ROOT / "plugins" / plugin / "pyproject.toml").read_text()) for plugin in PLUGINS),
    ]
    needed = {
        re.split(r"[ ~\[]", text)[0]
        for project in (each["project"] for each in projects)
        for requirements in (project.get("dependencies", []), *project.get("optional-dependencies", {}).values())
        for text in requirements
    }

    assert set(PROJECT["tool"]["uv"]["sources"]) == needed & {*PLUGINS, "evframe"}


def started_servers(text):
    """Return the calls of asyncio by which a text starts a server of streams."""
    names = {"start_server", "start_unix_server", "create_server", "create_unix_server"}
    if not any(name in text for name in names):
        return set()
    nodes = list(ast.walk(ast.parse(text)))
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute) and node.attr in names}
    of_asyncio = (node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "asyncio")
    imported = {alias.name for node in of_asyncio for alias in node.names}
    return used - {"socket.create_server"} | imported & names


def test_one_server_of_streams():
    """The tests use `StreamServer`: what a server of asyncio has accepted stays open when a test or a handler fails."""
    paths = [
        path
        for folder in ("tests", *(f"plugins/{name}/tests" for name in PLUGINS))
        for path in (ROOT / folder).rglob("*.py")
    ]
    found = {str(path.relative_to(ROOT)): started_servers(path.read_text()) for path in paths}

    assert started_servers("socket.create_server(at)\nasyncio.start_server(f, *at)") == {"asyncio.start_server"}
    assert started_servers("from asyncio import start_unix_server as listen") == {"start_unix_server"}
    assert {path: calls for path, calls in found.items() if calls} == {}


def code_lines(path):
    """Return how many lines of a file are neither blank nor comment nor docstring."""
    source = path.read_text()
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for each in body if isinstance(body, list) else ():
            if (
                isinstance(each, ast.Expr)
                and isinstance(each.value, ast.Constant)
                and isinstance(each.value.value, str)
            ):
                docstrings |= set(range(each.lineno, each.end_lineno + 1))
    lines = enumerate(map(str.strip, source.splitlines()), 1)
    return sum(bool(line) and line[0] != "#" and number not in docstrings for number, line in lines)


def test_the_core_is_read_in_an_hour():
    """The core has at most 5,850 lines of code, and what is on the way of an event at most 3,000."""
    core = ROOT / "evframe"
    lines = {path: code_lines(path) for path in core.rglob("*.py") if "testing" not in path.parts}
    way = [core / "subscriptions" / "raising.py", core / "subscriptions" / "channel.py"]

    assert sum(lines.values()) <= 5_850
    on_the_way = {path for path in lines if path.parent.name in {"events", "delivery"}} | set(way)
    assert sum(lines[path] for path in on_the_way) <= 3_000

"""The repository: every plugin has the same shape, and is in every list."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").exists())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINTER = PROJECT["tool"]["importlinter"]


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


def test_lists():
    """tox, the type checker and the linter of imports know every plugin."""
    packages = [plugin.replace("-", "_") for plugin in PLUGINS]
    names = [plugin.removeprefix("evframe-") for plugin in PLUGINS]
    independent = next(contract for contract in LINTER["contracts"] if contract["type"] == "independence")
    forbidden = next(contract for contract in LINTER["contracts"] if contract["type"] == "forbidden")
    libraries = {"evframe_kafka_clients", "evframe_probing"}  # not a plugin: what plugins share

    assert PROJECT["tool"]["mypy"]["mypy_path"].split(":") == [f"plugins/{plugin}" for plugin in PLUGINS]
    assert LINTER["root_packages"] == ["evframe", *packages]
    assert independent["modules"] == [package for package in packages if package not in libraries]
    assert forbidden["forbidden_modules"] == packages
    sections = re.findall(r"^\[testenv:\{(.*)\}\]$", (ROOT / "tox.ini").read_text(), re.MULTILINE)
    environments = [name for section in sections for name in section.split(", ")]
    assert sorted(environments) == names
    assert f"env_list = core, {{{', '.join(names)}}}, all" in (ROOT / "tox.ini").read_text()

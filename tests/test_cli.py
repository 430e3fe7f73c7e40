"""The command line, in process."""

import json

import pytest
from click.testing import CliRunner

from evframe.cli import main


@pytest.fixture
def command():
    runner = CliRunner()
    return lambda *words: runner.invoke(main, list(words))


def test_plugins_json(command, installed):
    """The installed plugins are listed for a script."""
    listed = json.loads(command("plugins", "--json").stdout)

    memory = next(status for status in listed if status["name"] == "memory")
    assert memory == {
        "name": "memory",
        "version": "1.2.3",
        "problem": None,
        "kind": "transport",
        "schemes": ["memory"],
        "events": [],
        "commands": [],
    }


def test_check(command, tmp_path):
    """A good configuration is ok; a bad one prints every problem and exits with 1."""
    file = tmp_path / "evframe.toml"
    file.write_text('[[events]]\nname = "E_A"\n')
    good = command("check", "-c", str(file))
    file.write_text('[core]\ndefault_expire_s = "x"\n[[events]]\n')
    bad = command("check", "-c", str(file))

    assert (good.exit_code, good.stdout) == (0, "ok\n")
    assert bad.exit_code == 1
    assert "core.default_expire_s" in bad.stderr
    assert "events[0].name" in bad.stderr


def test_gateway_that_is_not_there(command):
    """A gateway that cannot be reached is one clear error."""
    result = command("events", "--url", "http://127.0.0.1:1/mi")

    assert result.exit_code == 1
    assert "no answer from http://127.0.0.1:1/mi" in result.stderr

"""The command line, in process."""

import itertools
import json
import pty
import re
import subprocess
import sys
from contextlib import suppress

import pytest
from click.testing import CliRunner
from processes import child

from evframe.cli import main
from evframe.plugins.composition import Composition

MANY = """
from evframe import hookimpl
from evframe.plugins.commands import Command

class Many:
    @hookimpl
    def register_events(self, collector):
        for number in range(2):
            collector.add(f"E_MANY_THINGS_{number}")

    @hookimpl
    def management_commands(self, commands):
        commands.add(Command("many-things:list", ((),), lambda params: None))
"""


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


def test_plugins_text(command, install, monkeypatch, tmp_path):
    """The installed plugins stand in columns, each with what it adds on lines of its own that fit the terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    (tmp_path / "many.py").write_text(MANY)
    monkeypatch.syspath_prepend(tmp_path)
    install(memory="evframe.testing:MemoryTransport", many_things="many:Many", wrong="many:Nothing")

    printed = command("plugins").stdout

    columns = "|".join(line for line in printed.splitlines() if line.split()[0] in {"memory", "many_things", "wrong"})
    assert re.sub(" {2,}", "  ", columns) == (
        "many_things  1.2.3  source  loaded|memory  1.2.3  transport  loaded  memory:"
        "|wrong  1.2.3  not loaded: AttributeError: module 'many' has no attribute 'Nothing'"
    )
    assert len({line.index("1.2.3") for line in columns.split("|")}) == 1
    assert "    events    E_MANY_THINGS_0\n              E_MANY_THINGS_1\n    commands  many-things:list\n" in printed


def test_json_on_a_terminal():
    """A terminal gets JSON with a line for each value, and anything else one line."""
    words = [sys.executable, "-m", "evframe", "plugins", "--json"]
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal, open(theirs, "wb", buffering=0) as output:
        with child(*words, stdout=output) as process:
            output.close()
            shown = b""
            with suppress(OSError):  # the end of a terminal
                while read := terminal.read(4096):
                    shown += read
            process.wait()
    piped = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout

    assert json.loads(shown) == json.loads(piped)
    assert piped.count(b"\n") == 1
    assert shown.count(b"\n") > len(json.loads(piped)) or shown == b"[]\r\n"


def test_no_plugins(command, monkeypatch):
    """Without any plugin that is said."""
    monkeypatch.setattr(Composition, "statuses", [])

    result = command("plugins")

    assert (result.stdout, result.stderr) == ("", "no plugin is installed\n")


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


CONTRIBUTED = """
import click
from evframe import hookimpl

@click.command()
def greet():
    click.echo("hello")

@hookimpl
def register_cli(commands):
    commands.add({command})
"""
NUMBERS = itertools.count()


@pytest.fixture
def contribute(install):
    """Install a distribution whose module adds what *command* is."""

    def contribute(name, command):
        module = f"contributed_{next(NUMBERS)}"  # one that is not imported yet
        folder = install(group="evframe.cli", **{name: module})
        (folder / f"{module}.py").write_text(CONTRIBUTED.replace("{command}", command))

    vars(main).pop("_contributed", None)  # what was found before
    yield contribute
    vars(main).pop("_contributed", None)


def test_another_distribution_adds_a_command(command, contribute):
    """A module of the group `evframe.cli` adds commands, which the help lists."""
    contribute("greeting", "greet")

    assert command("greet").output == "hello\n"
    assert re.search(r"^  greet$", command("--help").output, re.MULTILINE)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("click.Command('run')", "ValueError: name: expected that of a new command, got 'run', which exists already"),
        ("click.Command(None)", "ValueError: name: expected a command with a name, got None"),
        ("nothing", "NameError: name 'nothing' is not defined"),
        ("exit(3)", "entry point 'broken' of evframe.cli: expected a result or an Exception, got SystemExit(3)"),
    ],
)
def test_a_distribution_whose_commands_cannot_be_added_is_left_out(command, contribute, given, reason):
    """Its error is one line on standard error, and the commands of the others work."""
    contribute("broken", given)
    contribute("greeting", "greet")

    result = command("greet")
    assert (result.exit_code, result.stdout) == (0, "hello\n")
    assert result.stderr == f"the commands of evframe-broken are left out: {reason}\n"


def test_the_commands_of_the_core_load_no_other_distribution(command, contribute):
    """What starts the gateway, and its check, does not wait for the commands of others."""
    contribute("broken", "nothing")

    assert command("run", "--help").stderr == ""
    assert command("check", "--help").stderr == ""


def test_a_command_of_a_package_that_is_not_installed_names_it(command, monkeypatch):
    """Who types the command of a package learns what to install."""
    monkeypatch.setitem(vars(main), "_contributed", {})

    result = command("import-opensips", "opensips.cfg")
    assert result.exit_code == 2
    assert "no command 'import-opensips', pip install evframe-import-opensips" in result.output

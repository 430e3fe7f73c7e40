"""A configuration of several files, and settings of the command line, as the gateway and its commands use them."""

import os
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from evframe_options import Setting
from processes import child, until

import evframe
from evframe import command_line
from evframe.cli import main

BIN = Path(sys.executable).parent


@pytest.fixture
def folder(tmp_path, installed):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "evframe.toml").write_text('include = ["conf.d/*.toml"]\n[core]\nqueue_size = 5\n')
    return tmp_path


@pytest.fixture
def check(folder, monkeypatch):
    """Check the configuration; return the exit code, and both outputs without the folder."""
    monkeypatch.delenv("EVFRAME_CONFIG", raising=False)

    def check(*words, file=folder / "evframe.toml"):
        result = CliRunner().invoke(main, ["check", *(() if file is None else ("-c", str(file))), *words])
        return result.exit_code, *(each.replace(f"{folder}/", "") for each in (result.stdout, result.stderr))

    return check


def test_a_check_shows_the_files(folder, check):
    """All files that were read are printed, and a problem has the place of its file."""
    (folder / "conf.d/a.toml").write_text('[[subscriptions]]\nevent = "E_A"\nsocket = "memory:a"\n')
    assert check() == (0, "read evframe.toml\nread conf.d/a.toml\nok\n", "")
    (folder / "conf.d/b.toml").write_text('[[subscriptions]]\nevent = "E_B"\n\nsocket = "nothing:b"\n')
    code, read, problems = check()
    assert (code, read) == (1, "read evframe.toml\nread conf.d/a.toml\nread conf.d/b.toml\n")
    assert problems.startswith("conf.d/b.toml:4: subscriptions[1].socket: ")


def test_settings_are_checked(check):
    """A setting is checked as an option of a file is."""
    assert check("--set", "core.queue_size=7", "--set", "core.max_nesting=3")[0] == 0
    problem = "--set core.queue_size: core.queue_size: expected int, got 'x'\n"
    assert check("--set", "core.queue_size=x") == (1, "", problem)
    code, _, problem = check("--set", "core.queue_size")
    assert code == 2
    assert "'--set': expected KEY=VALUE, such as core.queue_size=1000, got 'core.queue_size'" in problem


def test_the_file_without_an_option(folder, check, monkeypatch):
    """The file is that of the environment variable, else the one in /etc."""
    assert command_line.DEFAULT_CONFIG == "/etc/evframe/evframe.toml"
    monkeypatch.setenv("EVFRAME_CONFIG", str(folder / "evframe.toml"))
    assert check(file=None) == (0, "ok\n", "")
    monkeypatch.setenv("EVFRAME_CONFIG", str(folder / "other.toml"))
    assert check(file=None) == (1, "", "other.toml: No such file or directory\n")
    assert check()[0] == 0
    monkeypatch.delenv("EVFRAME_CONFIG")
    default = next(each for each in main.commands["check"].params if each.name == "config")
    monkeypatch.setattr(default, "default", str(folder / "none.toml"))
    assert check(file=None) == (1, "", "none.toml: No such file or directory\n")


async def test_a_reload_reads_all_files_again(folder):
    """A reload reads the files that are there then, and settings survive it."""
    settings = [Setting.parse("core.queue_size=9"), Setting.parse('plugins.disable=["other"]')]
    file = folder / "conf.d/a.toml"
    file.write_text('[[events]]\nname = "E_A"\n')
    with pytest.raises(
        evframe.ConfigError, match=r"--set plugins.disable: plugins.disable\[0\]: expected an installed"
    ):
        evframe.EventInterface.from_toml(folder / "evframe.toml", settings=settings)
    events = evframe.EventInterface.from_toml(folder / "evframe.toml", settings=settings[:1])
    async with events:
        assert (events.core.queue_size, events.event("E_A").name) == (9, "E_A")
        file.write_text('[core]\nmax_nesting = 3\n[[events]]\nname = "E_B"\n')
        events.reload()
        assert (events.core.queue_size, events.core.max_nesting, events.event("E_B").name) == (9, 3, "E_B")
        file.write_text("[core]\nqueue_size = 3\n")
        with pytest.raises(evframe.ConfigError, match=r"a\.toml:2: core\.queue_size: expected a key that no other"):
            events.reload()
        assert events.core.max_nesting == 3


def test_exit_codes(tmp_path):
    """A configuration with a problem ends the gateway with 78, wrong words with 2, and an address in use with 1."""
    file = tmp_path / "evframe.toml"
    file.write_text("[core]\n")
    words = [str(BIN / "evframe"), "run"]
    environment = {**os.environ, "EVFRAME_CONFIG": str(file)}
    used = f'plugins.mi-datagram.socket_name="{tmp_path}/mi.sock"'
    for more, code in ((("--set", "core.queue_size=x"), 78), (("-c", f"{tmp_path}/none"), 78), (("--set", "x"), 2)):
        with child(*words, *more, env=environment) as process:
            assert process.wait(60) == code
    with child(
        *words, "--set", used, "--set", "plugins.mi-http.bind=unix:" + f"{tmp_path}/http", env=environment
    ) as one:
        until((tmp_path / "http").is_socket)
        until((tmp_path / "mi.sock").is_socket)
        with child(*words, "--set", used, env=environment) as other:
            assert other.wait(60) == 1
        one.send_signal(signal.SIGTERM)
        assert one.wait(60) == 0

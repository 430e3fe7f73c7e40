"""Texts from outside, through what the core's commands print: nothing reaches the terminal as it is."""

import json

import pytest
from click.testing import CliRunner
from harmful import HOSTILE, assert_harmless

from evframe.cli import main


def run(*words):
    return CliRunner().invoke(main, list(words))


@pytest.mark.parametrize(
    "text",
    [
        f'[[subscriptions]]\nevent = "E_A"\nsocket = {json.dumps("tcp:h:1/" + HOSTILE.replace(chr(0xDCFF), ""))}\n',
        f"{json.dumps(HOSTILE.replace(chr(0xDCFF), ''))} = 1\n",
        f"[[events]]\nname = {json.dumps(HOSTILE.replace(chr(0xDCFF), '') * 3)}\n",
        "\x1b[2J\u202e",
    ],
)
def test_check(tmp_path, text):
    """Every problem of a configuration is one line without anything that a terminal would obey."""
    file = tmp_path / "evframe.toml"
    file.write_text(text.replace(r"\ud83d\ude00", "").replace("\ud83d", ""), encoding="utf-8")
    done = run("check", "-c", str(file))

    assert done.exit_code == 1
    assert_harmless(done.stdout, done.stderr)


def test_plugins(install, monkeypatch, tmp_path):
    """What a plugin raises when it is loaded is listed with escapes."""
    (tmp_path / "hostile.py").write_text(f"raise RuntimeError({HOSTILE!a})\n")
    monkeypatch.syspath_prepend(tmp_path)
    install(hostile="hostile:Plugin")

    for words in (["plugins"], ["plugins", "--json"]):
        done = run(*words)
        assert "forged" in done.stdout
        assert_harmless(done.stdout, done.stderr)

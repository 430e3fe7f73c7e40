"""`evframe top` with a gateway process: once, as JSON, and on a terminal."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from processes import bound, child, until
from terminals import LEADER
from terminals import terminal as on_terminal

EVFRAME = Path(sys.executable).parent / "evframe"
LONG = "calls-of-the-second-site-with-a-long-name.log"


def top(*words, width=80):
    environment = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    done = subprocess.run(
        bound(EVFRAME, "top", *words), capture_output=True, text=True, timeout=50, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def closed():
    """Return the address of a port that refuses connections."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield "127.0.0.1:%d" % one.getsockname()[1]


@pytest.fixture
def running(gateway, closed, tmp_path):
    """Start a gateway with a file that gets an event, and a subscriber that is away, for which it waits."""
    sockets = [f"flatstore:{tmp_path}/{LONG}", f"tcp:{closed}"]
    started = gateway(
        '[[events]]\nname = "E_A"\n'
        + "".join(f'[[subscriptions]]\nevent = "E_A"\nsocket = "{each}"\n' for each in sockets)
    )
    started.client.call("event_subscribe", ["E_A", "udp:127.0.0.1:9", 3600])
    started.client.raise_event("E_A")

    def counted():
        (tried,) = [one for one in started.client.call("evi:statistics")["Subscribers"] if "flatstore" in one["socket"]]
        (away,) = [one for one in started.client.call("evi:statistics")["Subscribers"] if closed in one["socket"]]
        return tried["delivered"] == 1 and away.get("away") == "refused"

    until(counted)
    return started


def test_once(running, closed, tmp_path):
    """The table is printed once where there is no terminal, in 80 columns or in more."""
    narrow = top("--interval", "0.05", "--url", running.url).splitlines()
    wide = top("--interval", "0.05", "--once", "--url", running.url, width=240).splitlines()

    assert len(narrow) == len(wide) == 4
    assert max(map(len, narrow)) <= 80
    assert [name for name in wide[0].split() if name != "LOSS"] == narrow[0].split()
    assert narrow[0].split() == ["SOCKET", "STATE", "SINCE", "RATE", "DEPTH", "OLDEST", "FAILED", "REASON", "LEASE"]
    assert re.fullmatch(r"flatstore:\S*…\S*\.log +connected +\d+s +0 +0 +0 +never", narrow[1])
    assert re.fullmatch(rf"tcp:{closed} +away +\d+s +0 +1 +(\d+s)? +0 refused +never", narrow[2])
    assert re.fullmatch(rf"flatstore:{tmp_path}/{LONG} +connected +\d+s +0 +0 +0 +0 +never", wide[1])
    assert re.fullmatch(rf"tcp:{closed} +away: refused +\d+s +0 +1 +(\d+s)? +0 +0 +never", wide[2])
    assert re.fullmatch(r"udp:127\.0\.0\.1:9 +unknown +\d+s .* (59m|1h)", wide[3])


def test_json(running, closed):
    """A sample is one JSON object on a line; rates need a second sample."""
    line = top("--once", "--json", "--interval", "0.05", "--sort", "-depth", "--url", running.url)
    first = top("--once", "--json", "--no-rate", "--filter", "tcp:*", "--url", running.url)
    away, *others = json.loads(line)["subscribers"]
    (alone,) = json.loads(first)["subscribers"]

    assert line.count("\n") == first.count("\n") == 1
    assert away["socket"] == alone["socket"] == f"tcp:{closed}"
    assert (away["state"], away["away"], away["depth"], away["rate"]) == ("away", "refused", 1, 0.0)
    assert alone["rate"] is None
    assert {one["lease"] for one in others} - {"never"} <= set(range(3500, 3601))


def test_age_of_what_waits(running):
    """The age of the first event that waits grows; while a retry is under way it is null."""

    def waits_longer():
        words = ["--once", "--json", "--no-rate", "--filter", "tcp:*", "--url", running.url]
        (away,) = json.loads(top(*words))["subscribers"]
        ages.extend([away["oldest"]] if away["oldest"] is not None else [])
        return len(ages) == 2

    ages = []
    until(waits_longer)
    assert 0 < ages[0] < ages[1]


def test_json_without_an_end(running):
    """Without `--once` a line follows each interval, until a signal ends it."""
    words = ["top", "--json", "--interval", "0.05", "--url", running.url]
    with child(EVFRAME, *words, stdout=subprocess.PIPE, text=True) as process:
        samples = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.terminate()
        assert process.wait(30) == 0

    assert [sample["subscribers"][0]["rate"] is None for sample in samples] == [True, False, False]
    assert samples[0]["time"] < samples[1]["time"] < samples[2]["time"]


def test_a_token(gateway, tmp_path):
    """The token of the interface is sent."""
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o600)
    running = gateway(f'token_file = "{tmp_path}/token"\n')

    printed = top("--once", "--json", "--no-rate", "--url", running.url, "--token-file", f"{tmp_path}/token")
    assert json.loads(printed)["subscribers"] == []


def test_every_interface(gateway, tmp_path):
    """Over datagrams and a FIFO, a page is asked for as over HTTP; what a datagram cannot carry is cut off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        udp = "127.0.0.1:%d" % one.getsockname()[1]
    running = gateway(
        f'[plugins.mi-datagram]\nsocket_name = "udp:{udp}"\n'
        f'[plugins.mi-fifo]\nfifo_name = "{tmp_path}/fifo"\nreply_dir = "{tmp_path}"\n[[events]]\nname = "E_A"\n'
    )
    for number in range(700):
        running.client.call("event_subscribe", ["E_A", f"udp:127.0.0.1:{10000 + number}", 3600])
    found = []
    for url in (running.url, f"udp://{udp}", f"fifo://{tmp_path}/fifo?reply_dir={tmp_path}"):
        sample = json.loads(top("--once", "--json", "--no-rate", "--url", url))
        few = json.loads(top("--once", "--json", "--no-rate", "--limit", "2", "--url", url))
        assert [row["socket"] for row in few["subscribers"]] == ["udp:127.0.0.1:10000", "udp:127.0.0.1:10001"]
        assert sample["total"]["matched"] == few["total"]["matched"] == 700
        found.append(len(sample["subscribers"]))
    assert found == [700, 100, 700]


def terminal(*words, **options):
    """Run `evframe top` with *words* on a terminal; see `terminals.terminal`."""
    return on_terminal(EVFRAME, "top", "--interval", "0.1", *words, **options)


# A shell with one job: it stops with the job, and continues it after a line from the terminal.
_SHELL = """
import os, signal, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
before = termios.tcgetattr(0)
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
while os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]):
    os.tcsetpgrp(0, os.getpgrp())
    print("stopped", termios.tcgetattr(0) == before, flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, pid)
    os.killpg(pid, signal.SIGCONT)
print("over", termios.tcgetattr(0) == before, flush=True)
"""


@pytest.mark.parametrize(
    "end", [b"q", b"\x03", signal.SIGTERM, signal.SIGHUP], ids=["q", "ctrl-c", "sigterm", "sighup"]
)
def test_on_a_terminal(running, end):
    """The table is renewed until q, Ctrl-C or a signal, which leave the terminal as it was."""
    with terminal("--url", running.url) as shown:
        table = shown.read_until("flatstore:")
        assert "\x1b[?1049h" in table
        assert "3 subscribers" in table
        shown.read_until("never")
        shown.read_until("flatstore:")
        if isinstance(end, bytes):
            shown.press(end)
        else:
            shown.process.send_signal(end)
        assert shown.rest() == 0
        assert shown.shown.rindex("\x1b[?25h") > shown.shown.rindex("\x1b[?25l")


def test_a_terminal_that_becomes_wider(running, tmp_path):
    """The table follows the width of the terminal."""
    with terminal("--interval", "3600", "--url", running.url) as shown:
        assert LONG not in shown.read_until("udp:")
        shown.resize(300)
        shown.read_until(f"flatstore:{tmp_path}/{LONG}")
        shown.press(b"q")
        assert shown.rest() == 0


def test_a_command_that_is_stopped_and_continued(running):
    """Ctrl-Z leaves the terminal as it was, and what is continued is shown on it again."""
    with terminal("--url", running.url, leader=LEADER.partition("os.execvp")[0] + _SHELL) as shown:
        for _ in range(2):
            assert "\x1b[?1049h" in shown.read_until("udp:")
            shown.press(b"\x1a")
            left = shown.read_until("stopped True")
            assert left.rindex("\x1b[?1049l") > left.rfind("\x1b[?1049h")
            assert left.rindex("\x1b[?25h") > left.rfind("\x1b[?25l")
            shown.press(b"\n")
        assert "\x1b[?1049h" in shown.read_until("udp:")
        shown.press(b"q")
        shown.read_until("over True")


def test_a_key_that_is_pressed_while_the_command_is_stopped(running):
    """A key is not lost when it arrives together with the signal that continues the command."""
    with terminal("--interval", "3600", "--url", running.url) as shown:
        shown.read_until("udp:")
        shown.process.send_signal(signal.SIGSTOP)
        os.waitpid(shown.process.pid, os.WUNTRACED)
        shown.press(b"q")
        shown.process.send_signal(signal.SIGCONT)
        assert shown.rest() == 0


def test_keys_on_a_terminal(running):
    """The rows follow the keys at once, without waiting for the next sample."""
    with terminal("--interval", "3600", "--url", running.url) as shown:
        shown.read_until("away only")
        shown.press(b"a")
        shown.read_until("1 of 3 subscribers")
        shown.press(b"a/udp\r")
        shown.read_until("1 of 3 subscribers  \x1b[2m1 unknown")
        shown.press(b"q")
        assert shown.rest() == 0


def test_a_terminal_without_colours(running):
    """Colours are left out where the terminal has none, and where NO_COLOR says so; bold letters stay."""
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    for more, has_colours in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "vt220"}, False)):
        with terminal("--interval", "3600", "--url", running.url, **more) as shown:
            table = shown.read_until("space")
            shown.press(b"q")
            assert shown.rest() == 0
        assert bool(coloured.search(table)) is has_colours, table
        assert "\x1b[1" in table


def test_a_gateway_that_restarts(running, gateway):
    """The last table stays while the gateway does not answer, below a line with the reason, and it comes back."""
    with terminal("--url", running.url, columns=160) as shown:
        shown.read_until("udp:")
        running.stop()
        away = shown.read_until("Connection refused")
        assert "as of " in away
        assert "flatstore:" in shown.read_until("udp:")
        gateway('[[events]]\nname = "E_A"\n', running.port)
        shown.read_until("evframe top")
        shown.press(b"q")
        assert shown.rest() == 0


def test_a_gateway_that_hangs(running):
    """A call without an answer does not delay the end."""
    with terminal("--url", running.url) as shown:
        shown.read_until("udp:")
        running.process.send_signal(signal.SIGSTOP)
        try:
            shown.read_until("no answer from")
            shown.press(b"q")
            assert shown.rest() == 0
        finally:
            running.process.send_signal(signal.SIGCONT)

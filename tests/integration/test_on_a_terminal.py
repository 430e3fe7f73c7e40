"""The commands that list and watch, on a terminal."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from terminals import LEADER, terminal

EVFRAME = Path(sys.executable).parent / "evframe"
TABLES = """
[[events]]
name = "E_CALL_ENDED"
params = [{ name = "caller", type = "str" }, { name = "seconds", type = "int", optional = true }]

[[subscriptions]]
event = "E_CALL_ENDED"
socket = "udp:127.0.0.1:9"
"""


def shown(*words, end, **options):
    """Return the lines that `evframe` with *words* shows, up to *end*."""
    with terminal(EVFRAME, *words, **options) as one:
        text = one.read_until(end)
        assert one.process.wait(30) == 0
    return text.replace("\r", "").splitlines()


def test_events_and_subscribers(gateway):
    """The names of the columns are bold, and the last column is folded to the width of the terminal."""
    running = gateway(TABLES)
    listed = shown("events", "--url", running.url, columns=64, end="seconds?: int")
    assert re.fullmatch(r"\x1b\[1m *ID\x1b\[0m  \x1b\[1mNAME +\x1b\[0m  .*\x1b\[1mPARAMETERS\x1b\[0m", listed[0])
    assert re.fullmatch(r" *\d+  E_CALL_ENDED +0  caller: str,", listed[-2])
    assert re.fullmatch(r" +seconds\?: int", listed[-1])
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in listed) <= 64

    listed = shown("subscribers", "--url", running.url, end="udp:127.0.0.1:9", NO_COLOR="1")
    assert listed[-2:] == [
        "EVENT         STATE    DEPTH  LEASE  SOCKET",
        "E_CALL_ENDED  unknown      0  never  udp:127.0.0.1:9",
    ]


def test_answers_of_any_form(gateway):
    """What fits into a line is on one: an answer is as short as its terminal permits, and still JSON."""
    running = gateway(TABLES)
    words = "mi", "subscribers_list", "--url", running.url
    answer = running.client.call("subscribers_list", [])
    wide = shown(*words, columns=200, end="}]}]}")
    narrow = shown(*words, columns=50, end="\n}")
    assert json.loads("".join(wide)) == json.loads("".join(narrow)) == answer
    assert len(wide) == 1
    assert '                    "socket": "udp:127.0.0.1:9",' in narrow
    assert max(map(len, narrow)) <= 50


def test_watch(gateway):
    """The name of an event is coloured; Ctrl-C ends the lease, and the last line counts the events."""
    running = gateway(TABLES)
    with terminal(EVFRAME, "watch", "E_CALL_*", "--where", "seconds > 5", "--utc", "--url", running.url) as one:
        while len(running.client.call("subscribers_list", ["E_CALL_ENDED"])["Event"]["Subscribers"]) < 2:
            assert one.process.poll() is None
        for seconds in (5, 6):
            running.client.raise_event("E_CALL_ENDED", {"caller": "a", "seconds": seconds})
        line = one.read_until('"seconds":6}')
        assert re.search(r"\x1b\[2m[-\d]{10} [:.\d]{12}Z\x1b\[0m \x1b\[36m\x1b\[1mE_CALL_ENDED\x1b\[0m \{", line)
        assert '"seconds":5}' not in line
        one.press(b"\x03")
        assert re.search(r"1 event in \d+ s, none lost", one.read_until("lost"))
        assert one.process.wait(30) == 0
    assert len(running.client.call("subscribers_list", ["E_CALL_ENDED"])["Event"]["Subscribers"]) == 1


def test_watch_without_its_terminal(gateway):
    """A terminal that hangs up, as when its window is closed, ends the lease as Ctrl-C does."""
    running = gateway(TABLES)
    ours, theirs = pty.openpty()
    words = [sys.executable, "-c", LEADER, EVFRAME, "watch", "E_CALL_*", "--url", running.url]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        while len(running.client.call("subscribers_list", ["E_CALL_ENDED"])["Event"]["Subscribers"]) < 2:
            assert process.poll() is None
        os.close(ours)
        assert process.wait(30) >= 0, "no signal has killed it"
    assert len(running.client.call("subscribers_list", ["E_CALL_ENDED"])["Event"]["Subscribers"]) == 1

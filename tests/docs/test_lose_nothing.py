"""The tutorial "Lose nothing": its commands, in the order of the page, in one shell."""

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from brokers.own import free_port
from processes import bound, until

PAGE = Path(__file__).resolve().parents[2] / "docs/tutorials/lose-nothing.md"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def connected(port):
    with suppress(OSError):
        return socket.create_connection(("127.0.0.1", port))
    return None


class Shell:
    """A shell in which one block after the other is run, as a reader does."""

    def __init__(self, folder, url):
        environment = {
            **os.environ,
            "EVFRAME_URL": url,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        self._process = subprocess.Popen(
            bound("bash", "--norc"),
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, block):
        """Return what *block* prints, and its exit code."""
        self._process.stdin.write(f"{block}\necho @@ $?\n")
        self._process.stdin.flush()
        lines = []
        while not (line := self._process.stdout.readline()).startswith("@@"):
            assert line, "the shell has ended"
            lines.append(line)
        return "".join(lines), int(line.split()[1])

    def prints(self, block, expected):
        """Run *block* until it prints what is expected."""
        found = [""]
        with suppress(AssertionError):
            until(lambda: found.append(self.run(block)[0]) or found[-1] == expected, 30)
        assert found[-1] == expected, block

    def close(self):
        with self._process:
            self._process.stdin.close()


@pytest.fixture
def places():
    return {"8888": str(free_port()), "9000": str(free_port())}


@pytest.fixture
def shell(tmp_path, places):
    made = Shell(tmp_path, f"http://127.0.0.1:{places['8888']}/mi")
    yield made
    with suppress(AssertionError, OSError):
        made.run("kill -9 $(jobs -p) 2> /dev/null")
    made.close()


def test_the_peer_replies_to_events_that_arrive_together(tmp_path, places):
    """The program of the page replies to each of several lines that come in one segment."""
    program = PAGE.read_text().split("cat > peer.py <<'END'\n")[1].split("END\n")[0]
    program = program.replace("9000", places["9000"])
    requests = b"".join(b'{"id": %d, "params": {"number": %d}}\n' % (number, number) for number in range(3))
    with subprocess.Popen(bound(sys.executable, "-c", program, "1"), cwd=tmp_path) as peer:
        try:
            found = []
            until(lambda: found.append(connected(int(places["9000"]))) or found[-1])
            with found[-1] as connection, connection.makefile() as replies:
                connection.settimeout(30)
                connection.sendall(requests)
                assert [json.loads(replies.readline())["id"] for _ in range(3)] == [0, 1, 2]
        finally:
            peer.kill()
    assert (tmp_path / "got.txt").read_text() == "0\n2\n"


@pytest.mark.timeout(300)
def test_every_command_does_what_the_page_says(shell, places):
    """Each block works, and those with an output print it, as soon as what they ask for has happened."""
    text = PAGE.read_text()
    for port, own in places.items():
        text = text.replace(port, own)

    def is_up():
        with suppress(OSError), socket.create_connection(("127.0.0.1", int(places["8888"]))):
            return True
        return False

    blocks = [match.groups() for match in BLOCK.finditer(text)]
    assert len(blocks) > 15
    for (kind, block), (following, expected) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "text":
            continue
        if following == "text":
            shell.prints(block, expected)
            continue
        output, code = shell.run(block)
        assert code == 0 or "wait" in block.splitlines()[-1], (block, output)
        if "evframe run" in block:
            until(is_up)

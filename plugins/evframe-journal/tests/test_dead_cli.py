"""The command `evframe dead`, as a process, with a real gateway."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

import evframe
from evframe.testing import until

EVFRAME = Path(sys.executable).parent / "evframe"


class Operator:
    """Runs the command line."""

    def __init__(self, events, url):
        self.events = events
        self.url = url

    async def run(self, *words, answer=b""):
        pipe = asyncio.subprocess.PIPE
        words = (*words, "--url", self.url)
        process = await asyncio.create_subprocess_exec(EVFRAME, "dead", *words, stdin=pipe, stdout=pipe, stderr=pipe)
        out, error = await process.communicate(answer)
        return process.returncode, out.decode(), error.decode()

    async def fail(self, *numbers, socket="unix:/nowhere", reason="too_large"):
        letters = self.events.plugin("journal").letters
        before = letters.added
        failed = [self.events.event("E_DEAD").snapshot({"number": number}, 1.0) for number in numbers]
        letters.add(socket, failed, [reason] * len(failed), "expected less")
        await until(lambda: letters.added == before + len(failed))


@pytest.fixture
async def operator(tmp_path):
    path = tmp_path / "evframe.toml"
    path.write_text(f"""
[plugins]
disable = ["mi-http", "mi-fifo"]
[plugins.mi-datagram]
socket_name = "{tmp_path}/mi.sock"
[plugins.journal]
path = "{tmp_path}/journal"
[[policies]]
socket = "unix:*/kept"
keep = "disk"
[[events]]
name = "E_DEAD"
[[subscriptions]]
event = "E_DEAD"
socket = "unix:{tmp_path}/kept"
""")
    async with evframe.EventInterface.from_toml(path) as events:
        yield Operator(events, f"unix:{tmp_path}/mi.sock")


async def test_letters_are_found_and_dropped(operator):
    """`list` is a table, `show` has the payload, and `drop` deletes what is named; both have JSON, too."""
    await operator.fail(1)
    await operator.fail(2, 3, socket="unix:/elsewhere", reason="expired")
    code, out, _ = await operator.run("list", "--socket", "unix:/n*")
    head, line = out.splitlines()
    assert (code, head.split()) == (0, ["ID", "AT", "EVENT", "SOCKET", "REASON", "ATTEMPTS"])
    assert [line.split()[0], *line.split()[2:]] == ["1", "E_DEAD", "unix:/nowhere", "too_large", "1"]
    code, out, error = await operator.run("list", "--json", "--limit", "2")
    assert ([each["id"] for each in json.loads(out)["Letters"]], json.loads(out)["next"]) == ([1, 2], 2)
    code, out, error = await operator.run("list", "--limit", "2")
    assert (code, error) == (0, "there may be more: --after 2\n")
    code, out, _ = await operator.run("show", "1")
    assert 'payload      {"jsonrpc":"2.0","method":"E_DEAD","params":{"number":1}}\n' in out
    assert "detail       expected less\n" in out
    code, out, _ = await operator.run("drop", "--reason", "expired")
    assert (code, out) == (0, "2 dropped\n")
    code, out, _ = await operator.run("show", "2")
    assert code == 1


async def test_all_letters_are_dropped_on_request(operator):
    """`drop --all` asks before, unless the line has `--yes`; a line that names no letters is refused."""
    await operator.fail(1, 2)
    code, _, error = await operator.run("drop")
    assert (code, "expected IDs, filters or --all" in error) == (2, True)
    code, _, error = await operator.run("drop", "--all", answer=b"n\n")
    assert (code, "Drop all dead letters? [y/N]" in error) == (1, True)
    assert (await operator.run("drop", "--all", "--yes"))[:2] == (0, "2 dropped\n")


async def test_a_replay_is_waited_for(operator, tmp_path):
    """`replay` prints what came of the letters when they have their outcome; its exit code says whether one is left."""
    await operator.fail(1, 2)
    code, out, error = await operator.run("replay", "--all", "--to", f"flatstore:{tmp_path}/not-permitted")
    assert (code, "400" in error) == (1, True)
    code, out, error = await operator.run("replay", "1", "2", "--to", "strange:x")
    assert (code, "expected a scheme of" in error) == (1, True)
    operator.events.subscribe_event("E_DEAD", f"flatstore:{tmp_path}/log")
    await operator.fail(3, socket=f"flatstore:{tmp_path}/log")
    code, out, _ = await operator.run("replay", "3", "--rate", "100")
    assert (code, out) == (0, "replay 1 over: delivered 1, failed 0, left 0, under_way 0\n")
    assert (tmp_path / "log").read_text() == "E_DEAD,3\n"
    assert (await operator.run("replay", "3"))[:2] == (0, "replay 2 over: no letter found\n")


async def test_a_gateway_without_a_journal(tmp_path):
    """A gateway that has no dead letters is one clear error."""
    path = tmp_path / "evframe.toml"
    path.write_text(f"""
[plugins]
disable = ["mi-http", "mi-fifo", "journal"]
[plugins.mi-datagram]
socket_name = "{tmp_path}/mi.sock"
""")
    async with evframe.EventInterface.from_toml(path) as events:
        code, _, error = await Operator(events, f"unix:{tmp_path}/mi.sock").run("list")
    assert (code, error) == (1, "Error: expected a gateway with evframe-journal, which has dead letters\n")

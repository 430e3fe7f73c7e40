"""Workers that do not answer any more are killed, and started again; others are left alone."""

import asyncio
import ctypes
import signal
import subprocess
import sys
from pathlib import Path

from evframe_workers.watching import hung, is_traced
from numbered import Load, assert_all

from evframe.testing import until

_SEIZE = 0x4206  # of ptrace


async def test_a_stopped_worker(workers, receiver):
    """Its events go to the next one; the hang is counted, logged and in the status."""
    async with workers(1, "[plugins.workers]\nhang_timeout_s = 2") as front:
        front.subscribe_event("E_TEST", receiver.tcp)
        await front.ready()
        async with Load(front.events) as load:
            await until(lambda: len(receiver.numbers) > 50)
            front.plugin.processes[0].process.send_signal(signal.SIGSTOP)
            await until(lambda: not front.are_ready)
            await front.ready()
        await front.settled()
        await until(lambda: len(set(receiver.numbers)) == load.raised)
        assert_all(receiver.numbers, load.raised)
        counters = front.plugin.statistics()[0].counters
        assert counters["hangs"] == counters["restarts"] >= 1
        reports = [each.text for each in front.status.group("workers").find("0").reports]
        assert set(reports) == {"ended by SIGKILL, because it did not answer"}


LOOPING = """
from pathlib import Path
import evframe
import attrs

@attrs.frozen
class Socket:
    canonical: str
    expires = True

class Looping:
    schemes = ("loop",)

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Socket("loop:" + rest) if scheme == "loop" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        path = Path(socket.canonical.partition(":")[2])
        if not path.exists():
            path.write_text("")
            while True:
                pass
        with path.open("a") as file:
            file.writelines(f"{event.get('n')}\\n" for event in batch.events)
        return True
"""


async def test_a_transport_that_loops(workers, install, tmp_path, monkeypatch):
    """A delivery that never returns is ended, and no event is lost."""
    folder = install(loop="looping:Looping")
    (folder / "looping.py").write_text(LOOPING)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = tmp_path / "delivered"
    async with workers(1, "[plugins.workers]\nhang_timeout_s = 2") as front:
        front.subscribe_event("E_TEST", f"loop:{path}")
        for number in range(20):
            front.raise_event("E_TEST", {"n": number})
        await front.settled()
        assert set(path.read_text().split()) == {str(number) for number in range(20)}
        assert front.plugin.processes[0].hangs >= 1


class Scripted:
    """A connection to a process that answers while it is asked to."""

    def __init__(self, answers, *, is_ready=True):
        self.closed = asyncio.get_running_loop().create_future()
        self.answers = iter(answers)
        self.is_ready = is_ready
        self.has_answered = False
        self.asked = 0

    def ask(self):
        self.asked += 1
        answer = next(self.answers, None)
        if answer is None:
            self.closed.set_result(None)
        self.has_answered = bool(answer)


async def test_questions_are_counted():
    """Ten questions without an answer are a hang; nine with one answer behind them, or any without a bound, are none."""
    assert await hung(Scripted([0] * 10), 0, lambda: 0.01)
    assert not await hung(Scripted([*[0] * 9, 1, *[0] * 9]), 0, lambda: 0.01)
    assert not await hung(Scripted([0] * 15, is_ready=False), 0, lambda: 0.01)
    unbound = asyncio.create_task(hung(Scripted([0]), 0, lambda: 0.0))
    assert not await unbound


def test_a_debugger_is_found():
    """A process that a debugger has is known; one that it has left, and one that has ended, are not."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        assert not is_traced(process.pid)
        assert libc.ptrace(_SEIZE, process.pid, None, None) == 0, ctypes.get_errno()
        assert is_traced(process.pid)
        process.kill()
        process.wait()
    assert not Path(f"/proc/{process.pid}").exists()
    assert not is_traced(process.pid)

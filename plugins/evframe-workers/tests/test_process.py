"""Workers that cannot be started, that signals reach at any time, and that leave requests without an answer."""

import os
import resource
import signal

import pytest

from evframe.plugin import CommandError
from evframe.testing import until


async def test_a_worker_is_started_when_there_are_descriptors_again(workers, receiver):
    """While the front has no descriptor left, no worker can be started; it is tried until there is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with workers(1) as front:
        front.subscribe_event("E_TEST", receiver.udp)
        await front.ready()
        unused = os.dup(0)
        os.close(unused)
        resource.setrlimit(resource.RLIMIT_NOFILE, (unused, hard))
        try:
            front.kill(0)
            worker = front.status.group("workers").find("0")
            await until(lambda: "Too many open files" in worker.details)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        front.raise_event("E_TEST", {"n": 0})
        await front.settled()
        assert front.counters(receiver.udp).delivered == 1
        assert worker.status == 1


async def test_a_worker_that_a_signal_without_a_name_has_ended(workers):
    """Any signal may end a worker, and the next one is started."""
    async with workers(1) as front:
        await front.ready()
        front.plugin.processes[0].process.send_signal(signal.SIGRTMIN + 1)
        await until(lambda: not front.are_ready)
        await front.ready()
        reports = [each.text for each in front.status.group("workers").find("0").reports]
        assert reports == [f"ended by signal {signal.SIGRTMIN + 1}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_the_group_while_a_worker_begins(workers, number):
    """A worker that has not begun to ignore the signals of the front is not ended by one."""
    async with workers(1) as front:
        await until(lambda: front.pids)
        front.plugin.processes[0].process.send_signal(number)
        await front.ready()
        assert front.plugin.processes[0].restarts == 0


async def test_a_worker_ends_whose_client_has_given_up(workers):
    """A client has given up a command that a stopped worker was asked; the end of the worker is one like any other."""
    async with workers(1) as front:
        await front.ready()
        front.plugin.processes[0].process.send_signal(signal.SIGSTOP)
        answer = front.commands.find("event_flatstore:rotate").run({"path_to_file": "/no/such/file"})
        open_calls = front.plugin._forwarding._open
        await until(lambda: open_calls)
        answer.cancel()
        await until(answer.done)
        front.kill(0)
        await until(lambda: not front.are_ready)
        await front.ready()
        assert not open_calls


async def test_names_and_paths_that_are_no_text(workers, tmp_path):
    """Bytes that are no UTF-8, in a socket, in the name of an event, and in a command, reach the worker as they are."""
    path = f"{tmp_path}/\udcff"
    async with workers(1) as front:
        front.register_event("E_\udcff")
        front.subscribe_event("E_\udcff", f"flatstore:{path}")
        for _ in range(2):
            front.raise_event("E_\udcff", {"n": 1})
            await front.settled()
            front.kill(0)
            await until(lambda: not front.are_ready)
            await front.ready()
        rotate = front.commands.find("event_flatstore:rotate")
        assert await rotate.run({"path_to_file": path}) == "OK"
        front.raise_event("E_\udcff", {"n": 1})
        await front.settled()
        assert front.counters(f"flatstore:{path}").delivered == 3
        assert front.plugin.processes[0].restarts == 2


async def test_a_command_with_an_error_of_its_own_ends_no_worker(workers):
    """What is wrong with the parameters is the answer of the front, as without workers."""
    async with workers(1) as front:
        await front.ready()
        with pytest.raises(KeyError, match="path_to_file"):
            await front.commands.find("event_flatstore:rotate").run({})
        with pytest.raises(CommandError, match="File not found"):
            await front.commands.find("event_flatstore:rotate").run({"path_to_file": "/no/such/file"})
        assert front.plugin.processes[0].restarts == 0

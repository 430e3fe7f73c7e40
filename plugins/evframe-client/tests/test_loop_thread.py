"""The event loop of the clients that block, on its thread."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from contextlib import suppress

import pytest
from evframe_client import Client, loop_thread
from evframe_client.loop_thread import run
from processes import child, until
from serving import DatagramServer, FifoServer


async def ident():
    return threading.get_ident()


async def fail(error):
    raise error


def test_results_and_errors():
    """What a coroutine returns or raises is that of the call, and all calls share one thread."""
    assert run(ident()) == run(ident()) != threading.get_ident()
    with pytest.raises(KeyError, match="expected"):
        run(fail(KeyError("expected")))
    assert loop_thread._running[1].daemon


async def test_within_a_running_loop():
    """A thread that has a running loop may block too, as any call that blocks."""
    assert run(ident()) != threading.get_ident()


def test_the_thread_of_the_loop_does_not_wait_for_itself():
    """A blocking call on the loop's thread, as from a handler of its log, is an error and no deadlock."""

    async def call():
        return Client("udp://127.0.0.1:1").call("pwd")

    with pytest.raises(RuntimeError, match="expected a call of a blocking client on another thread"):
        run(call())


def test_nothing_is_left_to_the_collector():
    """An error and the objects that its call held are freed with it."""

    class Held:
        pass

    held = Held()
    freed = weakref.ref(held)

    async def hold(held):
        await asyncio.sleep(0)
        raise KeyError

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(KeyError):
            run(hold(held))
        del held
        run(ident())  # the loop has left the step of the one before
        assert freed() is None
    finally:
        gc.enable()


class Interrupted(Exception):
    """Raised by a handler of a signal."""


def test_an_interrupted_call_ends_before_its_error_is_raised(tmp_path):
    """What a call has made is removed when a signal ends the wait, as by Ctrl-C."""
    server = FifoServer(lambda _: None, tmp_path).start()

    def interrupt(*_):
        raise Interrupted

    def send():
        while not server.requests:
            pass
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(Interrupted):
            Client(server.url, timeout_s=50.0).call("pwd")
        assert os.listdir(tmp_path) == ["mi"]
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
        server.close()


def test_a_call_that_is_interrupted_before_it_begins():
    """A call that the loop has not got yet has ended, too, when it is given up."""
    never = ident()
    call = loop_thread._Call(never)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        call.outcome.result(0)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        never.send(None)


def test_many_threads():
    """Any number of threads call at the same time, and each gets its answer."""
    server = DatagramServer(
        lambda request: b'{"id":"%b","result":%b}' % (request.split(b'"')[7], request.split(b"[")[1].split(b"]")[0])
    ).start()
    client = Client(server.url)
    wrong = []

    def work(number):
        for turn in range(20):
            if client.call("m", [number * 100 + turn]) != number * 100 + turn:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.close()
    assert not wrong


FORK = """
import os, sys, threading
from evframe_client import Client, ManagementError

fast, slow = Client(sys.argv[1]), Client(sys.argv[2], timeout_s=50.0)
fast.call("pwd")
answers = []
waiting = threading.Thread(target=lambda: answers.append(slow.call("pwd")))
waiting.start()
print("waiting", flush=True)
sys.stdin.readline()
for _ in range(3):
    child = os.fork()
    if not child:
        sys.exit(0 if fast.call("pwd") == fast.call("pwd") == "OK" else 3)
    assert os.waitpid(child, 0)[1] == 0
assert fast.call("pwd") == "OK"
print("forked", flush=True)
waiting.join()
assert answers == ["OK"]
print("answered", flush=True)
"""


def test_fork():
    """A forked process has its own loop; the calls that are under way in its parent are not disturbed."""
    is_over = threading.Event()

    def answer(request):
        return b'{"id":"%b","result":"OK"}' % request.split(b'"')[7]

    fast = DatagramServer(answer).start()
    slow = DatagramServer(lambda request: is_over.wait(50) and answer(request)).start()
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, fast.url, slow.url]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with child(*words, text=True, **pipes) as process:
        assert process.stdout.readline() == "waiting\n"
        while not slow.requests:
            pass
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forked\n", process.stderr.read()
        is_over.set()
        assert process.stdout.readline() == "answered\n", process.stderr.read()
        assert process.wait() == 0
    fast.close()
    slow.close()


def gateway(request):
    """Answer as a gateway with one event does."""
    result = b'{"Events":[{"name":"E_A","id":0}]}' if b'"events_list"' in request else b'"OK"'
    return b'{"id":"%b","result":%b}' % (request.split(b'"')[7], result)


def test_a_subscription_that_ends_in_another_thread():
    """A thread that waits for an event gets an error when the block ends, and no other thread waits for it."""
    server = DatagramServer(gateway).start()
    outcomes = []

    def work(subscription):
        try:
            next(subscription)
        except RuntimeError as error:
            outcomes.append(str(error))

    with Client(server.url).subscribe("E_*") as subscription:
        waiting = [threading.Thread(target=work, args=(subscription,)) for _ in range(3)]
        for thread in waiting:
            thread.start()
        with pytest.raises(TimeoutError, match="expected an event within 0.05 s"):
            subscription.get(0.05)
    for thread in waiting:
        thread.join()
    server.close()
    assert outcomes == ["expected a subscription in its `with` block"] * 3
    with pytest.raises(RuntimeError, match="expected a subscription in its"):
        subscription.get()


def test_threads_that_iterate_together():
    """Each event of a subscription is given to one of the threads that wait for it."""
    server = DatagramServer(gateway).start()
    got = []

    def work(subscription):
        with suppress(RuntimeError):
            for event in subscription:
                got.append(event.params["n"])

    with Client(server.url).subscribe("E_A") as subscription:
        threads = [threading.Thread(target=work, args=(subscription,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        host, _, port = subscription.socket.partition(":")[2].rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(500):
                sender.sendto(b'{"method":"E_A","params":{"n":%d}}' % number, (host, int(port)))
        until(lambda: len(got) == 500)
    for thread in threads:
        thread.join()
    server.close()
    assert sorted(got) == list(range(500))

"""Programs in Python that tests run many times: imported once, and run by a process of its own each time."""

import atexit
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from processes import bound

_PARENT = """
import gc, importlib, json, os, runpy, sys

for name in sys.argv[1:]:
    importlib.import_module(name)
gc.collect()
gc.freeze()  # else each process copies the memory of all modules when its garbage collector looks at them
for line in sys.stdin:
    words, folder, output, errors = json.loads(line)
    pid = os.fork()
    if not pid:
        for number, path in enumerate((os.devnull, output, errors)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
        os.chdir(folder)
        sys.argv = words
        sys.path.insert(0, os.path.dirname(words[0]))  # as Python does for a script
        runpy.run_path(words[0], run_name="__main__")
        sys.exit()
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@contextmanager
def forked(*modules, flags=()):
    """Yield a function like `subprocess.run` for scripts in Python, in processes that have imported *modules*."""
    command = bound(sys.executable, "-P", *flags, "-c", _PARENT, *modules)
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent,
    ):

        def run(*words, cwd=None):
            texts = [str(word) for word in words]
            with (
                tempfile.NamedTemporaryFile("r", dir=folder) as out,
                tempfile.NamedTemporaryFile("r", dir=folder) as err,
            ):
                print(json.dumps([texts, str(cwd or Path.cwd()), out.name, err.name]), file=parent.stdin, flush=True)
                code = int(parent.stdout.readline())
                return subprocess.CompletedProcess(texts, code, out.read(), err.read())

        try:
            yield run
        finally:
            parent.kill()


_PR_SET_CHILD_SUBREAPER = 36

_STARTER = """
import ctypes, gc, importlib, json, os, runpy, signal, socket, sys, time

channel, tests = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
for name in sys.argv[3:]:
    importlib.import_module(name)
gc.collect()
gc.freeze()
while True:
    data, handles, _, _ = socket.recv_fds(channel, 1 << 20, 1)
    if not data:
        break
    if not os.fork():
        if pid := os.fork():
            channel.send(b"%d" % pid)
            os._exit(0)
        channel.close()
        while os.getppid() != tests:
            time.sleep(0.001)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        words, folder, environment, output = json.loads(data)
        os.dup2(*handles, output)
        os.close(*handles)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = words
        sys.path.insert(0, os.path.dirname(words[0]))  # as Python does for a script
        runpy.run_path(words[0], run_name="__main__")
        sys.exit()
    os.close(*handles)
    os.wait()
    channel.send(b"ended")
"""


class ForkedProcess:
    """A child of this process, with what `subprocess.Popen` has; *stdout* or *stderr* may be a pipe."""

    def __init__(self, pid, stdout=None, stderr=None):
        self.pid, self.stdout, self.stderr, self.returncode = pid, stdout, stderr, None
        self._handle = os.pidfd_open(pid)
        self._end = select.poll()
        self._end.register(self._handle, select.POLLIN)

    def send_signal(self, number):
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def poll(self):
        return self._ended(0)

    def wait(self, timeout=None):
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def _ended(self, timeout_s):
        if self.returncode is None and self._end.poll(None if timeout_s is None else 1000 * timeout_s):
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._handle)
        return self.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait()
        for pipe in filter(None, (self.stdout, self.stderr)):
            pipe.close()


class Starter:
    """Starts scripts in Python as children of this process that have imported *modules* already."""

    def __init__(self, *modules):
        self._lock = threading.Lock()
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            words = bound(sys.executable, "-P", "-c", _STARTER, str(other.fileno()), str(os.getpid()), *modules)
            self._process = subprocess.Popen(words, pass_fds=[other.fileno()])

    def start(self, *words, env, output=None):
        """Return the process that runs a script with these words; *output* is that of its streams which is a pipe."""
        read, write = os.pipe() if output else (None, os.dup(2))
        request = json.dumps([[str(word) for word in words], os.getcwd(), dict(env), 1 if output == "stdout" else 2])
        with self._lock, self._adopting(), open(write, "w"):
            socket.send_fds(self._channel, [request.encode()], [write])
            pid = int(self._channel.recv(100))
            assert self._channel.recv(100) == b"ended"
        return ForkedProcess(pid, **({output: open(read)} if output else {}))

    @contextmanager
    def _adopting(self):
        """Have orphans become children of this process: the one between the starter and a script ends at once."""
        prctl = ctypes.CDLL(None).prctl
        assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        try:
            yield
        finally:
            prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def close(self):
        self._channel.close()
        self._process.wait()


@cache
def starter():
    """Return what starts scripts that have imported every plugin, which is most of what the start of a gateway takes."""
    assert threading.current_thread() is threading.main_thread()  # at the end of another one, the kernel would kill it
    plugins = [entry.module for entry in entry_points(group="evframe")]
    made = Starter("evframe.cli", "aiohttp.web", "uvloop", *plugins)
    atexit.register(made.close)
    return made


@cache
def commands():
    """Return a function like `subprocess.run` for `evframe`, in processes that have imported its commands."""
    assert threading.current_thread() is threading.main_thread()  # as above
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(forked("evframe.cli", *(entry.module for entry in entry_points(group="evframe"))))

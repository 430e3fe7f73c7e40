"""Programs in Python that tests run many times: imported once, and run by a process of its own each time."""

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
from contextlib import contextmanager
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
        words, folder, environment = json.loads(data)
        os.dup2(*handles, 2)
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
    """A child of this process, as `subprocess.Popen` would be one."""

    def __init__(self, pid, stderr):
        self.pid, self.stderr, self.returncode = pid, stderr, None
        self._handle = os.pidfd_open(pid)

    def send_signal(self, number):
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def poll(self):
        return self._ended(0)

    def wait(self, timeout=None):
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def _ended(self, timeout_s):
        if self.returncode is None and select.select([self._handle], [], [], timeout_s)[0]:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wait()
        self.stderr.close()
        os.close(self._handle)


class Starter:
    """Starts scripts in Python as children of this process that have imported *modules* already."""

    def __init__(self, *modules):
        self._lock = threading.Lock()
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            words = bound(sys.executable, "-P", "-c", _STARTER, str(other.fileno()), str(os.getpid()), *modules)
            self._process = subprocess.Popen(words, pass_fds=[other.fileno()])

    def start(self, *words, env):
        """Return the process that runs a script with these words, the environment *env*, and a pipe for its errors."""
        read, write = os.pipe()
        request = json.dumps([[str(word) for word in words], os.getcwd(), env])
        with self._lock, self._adopting(), open(write, "w"):
            socket.send_fds(self._channel, [request.encode()], [write])
            pid = int(self._channel.recv(100))
            assert self._channel.recv(100) == b"ended"
        return ForkedProcess(pid, open(read))

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

"""Programs in Python that tests run many times: imported once, and run by a process of its own each time."""

import json
import subprocess
import sys
import tempfile
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

"""Declarations in a process without the core, which are tested with it in `tests/test_declarations.py`."""

import subprocess
import sys

PROGRAM = """
import sys
from evframe_declarations import Declaration, Parameter

declaration = Declaration("E_A", {"caller": str, "seconds": Parameter(int, optional=True)})
declaration.check({"caller": "alice", "seconds": 1})
assert declaration.fits({"caller": "alice"})
assert not declaration.fits({"caller": 1})
assert "evframe" not in sys.modules
"""


def test_no_core_is_imported():
    """A program that reads declarations has nothing of the core in it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")

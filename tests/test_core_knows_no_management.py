"""What run-time clients may do is the matter of the plugin mi; the core has hooks for it."""

import re
import subprocess
import sys
from pathlib import Path

import evframe

WORDS = re.compile(r"ManagementOptions|NarrowingOptions|LeaseNetworks|ClientLeases|evframe_mi\b")


def test_no_module_of_the_core_knows_the_policy():
    """No module of the core names a class of the policy, or the package that has it."""
    folder = Path(evframe.__file__).parent
    found = {
        f"{path.relative_to(folder)}:{number}"
        for path in folder.rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if WORDS.search(line)
    }
    assert found == set()


def test_an_interface_imports_no_policy():
    """An interface with plugin objects works without the package `evframe-mi`."""
    program = (
        "import sys, evframe, evframe.plugin\n"
        "from evframe.testing import MemoryTransport\n"
        "events = evframe.EventInterface(plugins={'memory': MemoryTransport()})\n"
        "events.register_event('E_A')\n"
        "events.subscribe_event('E_A', 'memory:a')\n"
        "print([name for name in sys.modules if name.startswith('evframe_mi')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"

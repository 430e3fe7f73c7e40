"""What the machine of a member and its surroundings know of each other."""

import subprocess
import sys


def test_the_interface_does_no_input_or_output():
    """A machine is tried without a broker: the module that both sides share imports neither a client nor the loop."""
    source = "import evframe_fleet.log, sys; print(*sorted({'aiokafka', 'asyncio', 'socket'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"

"""For the tests of those who write plugins: contracts that every plugin of a kind keeps, and doubles.

pytest with asyncio mode `auto` runs the tests of a contract for each class that is derived from it.
"""

from evframe.testing.blocking import Stalls, blocking_calls
from evframe.testing.clock import FakeClock
from evframe.testing.configuration import ConfigFile
from evframe.testing.garbage import no_garbage
from evframe.testing.names import FakeNames
from evframe.testing.recording import Recorder
from evframe.testing.sources import SourceContract
from evframe.testing.transports import MemorySocket, MemoryTransport, Peer, TransportContract, until

__all__ = [
    "ConfigFile",
    "FakeClock",
    "FakeNames",
    "MemorySocket",
    "MemoryTransport",
    "Peer",
    "Recorder",
    "SourceContract",
    "Stalls",
    "TransportContract",
    "blocking_calls",
    "no_garbage",
    "until",
]

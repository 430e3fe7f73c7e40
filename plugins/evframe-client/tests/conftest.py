"""What the tests of the client share."""

import pytest
from evframe_mi import Management
from evframe_mi.testing import ANY_SCHEME

import evframe
from evframe.testing import MemoryTransport


@pytest.fixture
def events():
    """Return an interface with a transport in memory and two events."""
    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), "mi": Management(ANY_SCHEME)})
    events.register_event("E_A")
    events.register_event("E_B")
    return events

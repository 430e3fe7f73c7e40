"""What the tests of the client share."""

import pytest
from evframe_mi import Management

import evframe
from evframe.testing import ANY_SCHEME, MemoryTransport


@pytest.fixture
def events():
    """Return an interface with a transport in memory and two events."""
    events = evframe.EventInterface(ANY_SCHEME, plugins={"memory": MemoryTransport(), "mi": Management()})
    events.register_event("E_A")
    events.register_event("E_B")
    return events

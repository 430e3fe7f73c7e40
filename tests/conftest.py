"""What the tests of the core share."""

import pytest

import evframe
from evframe.testing import MemoryTransport


@pytest.fixture
def memory():
    """Return a transport that keeps what it is given."""
    return MemoryTransport()


@pytest.fixture
def events(memory):
    """Return an interface with that transport and two events."""
    events = evframe.EventInterface(plugins={"memory": memory})
    events.register_event("E_A")
    events.register_event("E_B")
    return events

"""What the tests of the management interface share."""

import logging

import pytest
from evframe_mi import Management
from evframe_mi.testing import ANY_SCHEME

import evframe
from evframe.config import CoreOptions
from evframe.testing import MemoryTransport


@pytest.fixture(autouse=True)
def log_level():
    """Restore the level that a command may have set."""
    logger = logging.getLogger("evframe")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.fixture
def memory():
    """Return a transport that keeps what it is given."""
    return MemoryTransport()


@pytest.fixture
def events(memory):
    """Return an interface with that transport, management and two events."""
    config = evframe.Config(core=CoreOptions(drain_timeout_s=0.1))  # what waits at the end of a test never arrives
    events = evframe.EventInterface(config, plugins={"memory": memory, "mi": Management(ANY_SCHEME)})
    events.register_event("E_A")
    events.register_event("E_B")
    return events

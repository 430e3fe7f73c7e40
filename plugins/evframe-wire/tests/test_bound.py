"""Addresses that are bound, and what takes their place."""

import os
import socket
import stat

import pytest
from evframe_wire.bound import BoundAddress
from evframe_wire.endpoints import Access


@pytest.fixture
def bind():
    """Bind addresses, which are closed at the end."""
    made = []

    def bind(target, kind=socket.SOCK_DGRAM, before=None):
        made.append(BoundAddress(kind, target, Access(0o660), before))
        return made[-1]

    yield bind
    for each in made:
        each.close()


def test_what_is_the_same_address(bind, tmp_path):
    """A name of the address that is bound is that address; a path is, as long as it exists."""
    port = bind(("127.0.0.1", 0))
    assert port.is_at(("127.0.0.1", 0))
    assert port.is_at(port.address)
    assert not port.is_at(("127.0.0.2", port.address[1]))
    named = bind(("localhost", 0), socket.SOCK_STREAM)
    assert named.is_at(("localhost", named.address[1]))
    assert named.is_at(named.address)
    path = bind(str(tmp_path / "mi"))
    assert path.is_at(path.address)
    assert not path.is_at(port.address)
    assert not port.is_at(path.address)
    os.unlink(path.address)
    assert not path.is_at(path.address)


def test_path_that_was_made_again(bind, tmp_path):
    """An address that is released removes its own path, and not that of what has taken its place."""
    first = bind(str(tmp_path / "mi"))
    os.unlink(first.address)
    second = bind(str(tmp_path / "mi"), before=first)
    second.give(Access(0o600))
    first.close()
    assert stat.S_IMODE(os.stat(second.address).st_mode) == 0o600
    second.close()
    second.close()
    assert not os.path.exists(tmp_path / "mi")


def test_same_port(bind):
    """What takes the place of a port may have it on another address."""
    first = bind(("127.0.0.1", 0), socket.SOCK_STREAM)
    second = bind(("0.0.0.0", first.address[1]), socket.SOCK_STREAM, first)
    assert second.address == ("0.0.0.0", first.address[1])

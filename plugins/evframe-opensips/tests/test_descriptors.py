"""Sockets that another process holds."""

import os
import socket
import stat

import pytest
from evframe_opensips import InstanceOptions, Options
from evframe_opensips.endpoints import bind
from evframe_wire.handed_over import HANDED_OVER, HeldSocket

URL = "http://127.0.0.1:1/mi"


@pytest.fixture
def descriptors(monkeypatch):
    """Return what hands sockets over to this process, with their names."""

    def hand(names, *socks):
        found = [HeldSocket.of(name, sock.fileno()) for name, sock in zip(names, socks, strict=True)]
        monkeypatch.setattr(HANDED_OVER, "_held", found)

    return hand


@pytest.fixture
def datagrams():
    """Return a UDP socket at a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def receiver(transport="udp", **more):
    options = InstanceOptions("proxy", URL, transport, **more)
    return bind(options, Options([options]), lambda: None)


def test_by_name(descriptors, datagrams):
    """The descriptor with the name of an instance is its socket, as often as it is asked for, and stays open."""
    descriptors(["proxy"], datagrams)
    for _ in range(2):
        found, is_handed_over = receiver()
        assert is_handed_over
        assert found.address == datagrams.getsockname()
        found.close()
    assert stat.S_ISSOCK(os.fstat(datagrams.fileno()).st_mode)


def test_other_names(descriptors, datagrams):
    """Without a descriptor of its name, or at its place, an instance has a socket that the gateway binds."""
    descriptors(["other"], datagrams)
    found, is_handed_over = receiver()
    assert not is_handed_over
    assert found.address != datagrams.getsockname()
    found.close()


def test_by_place(descriptors, datagrams):
    """The descriptor at the port of an instance is its socket, whatever its name."""
    descriptors(["evframe-proxy.socket"], datagrams)
    found, is_handed_over = receiver(port=datagrams.getsockname()[1])
    assert is_handed_over
    assert found.address == datagrams.getsockname()
    found.close()


def test_path_through_a_link(descriptors, tmp_path):
    """The folder of a path may be a link, as /var/run is, whether the descriptor has the name or not."""
    (tmp_path / "link").symlink_to(".")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"{tmp_path}/proxy.sock")
        for name in ("proxy", "unknown"):
            descriptors([name], sock)
            found, is_handed_over = receiver("unix", path=f"{tmp_path}/link/proxy.sock")
            assert is_handed_over
            found.close()


def test_two_with_one_name(descriptors, datagrams):
    """Several descriptors with the name of an instance are an error, and not the first of them."""
    descriptors(["proxy", "proxy"], datagrams, datagrams)
    with pytest.raises(OSError, match="instance 'proxy'.*expected one socket with the name 'proxy', got 2"):
        receiver()


def test_another_place(descriptors, datagrams, tmp_path):
    """A descriptor of another kind, or at another place, than the configuration has is an error that names both."""
    descriptors(["proxy"], datagrams)
    port = datagrams.getsockname()[1]
    for transport, more in (("tcp", {}), ("udp", {"port": port % 60000 + 1}), ("unix", {"path": f"{tmp_path}/a"})):
        with pytest.raises(OSError, match=rf"instance 'proxy'.*got SOCK_DGRAM at \('127.0.0.1', {port}\)"):
            receiver(transport, **more)


def test_path(descriptors, tmp_path):
    """The path of a UNIX socket that another process holds is not removed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"{tmp_path}/proxy.sock")
        descriptors(["proxy"], sock)
        found, is_handed_over = receiver("unix", path=f"{tmp_path}/proxy.sock")
        assert is_handed_over
        found.close()
    assert os.path.exists(f"{tmp_path}/proxy.sock")

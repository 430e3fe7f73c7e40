"""Sockets that another process holds."""

import os
import socket
import stat

import pytest
from evframe_opensips import InstanceOptions, Options
from evframe_opensips.descriptors import handed_over
from evframe_opensips.endpoints import bind

URL = "http://127.0.0.1:1/mi"


@pytest.fixture
def descriptors(monkeypatch):
    """Return what makes sockets the descriptors of this process, as systemd does, with their names."""

    def hand(names, *socks, pid=None):
        first = socks[0].fileno()
        assert [sock.fileno() for sock in socks] == list(range(first, first + len(socks)))
        monkeypatch.setattr("evframe_opensips.descriptors._FIRST", first)
        monkeypatch.setenv("LISTEN_PID", str(os.getpid() if pid is None else pid))
        monkeypatch.setenv("LISTEN_FDS", str(len(socks)))
        monkeypatch.setenv("LISTEN_FDNAMES", names)

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
    descriptors("proxy", datagrams)
    for _ in range(2):
        found, is_handed_over = receiver()
        assert is_handed_over
        assert found.address == datagrams.getsockname()
        found.close()
    assert stat.S_ISSOCK(os.fstat(datagrams.fileno()).st_mode)


@pytest.mark.parametrize("names", ["other", "", "pro:xy"])
def test_other_names(descriptors, datagrams, names):
    """Without a descriptor of its name an instance has a socket that the gateway binds."""
    descriptors(names, datagrams)
    found, is_handed_over = receiver()
    assert not is_handed_over
    assert found.address != datagrams.getsockname()
    found.close()


def test_descriptors_of_another_process(descriptors, datagrams):
    """What was inherited from a process that it was meant for is not taken."""
    descriptors("proxy", datagrams, pid=1)
    assert handed_over("proxy") is None


@pytest.mark.parametrize("count", ["", "x", "-1", "0", "99999999999"])
def test_strange_counts(descriptors, datagrams, monkeypatch, count):
    """A count that is none hands nothing over."""
    descriptors("proxy", datagrams)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert handed_over("proxy") is None


def test_another_place(descriptors, datagrams, tmp_path):
    """A descriptor of another kind, or at another place, than the configuration has is an error that names both."""
    descriptors("proxy", datagrams)
    port = datagrams.getsockname()[1]
    for transport, more in (("tcp", {}), ("udp", {"port": port % 60000 + 1}), ("unix", {"path": f"{tmp_path}/a"})):
        with pytest.raises(OSError, match=rf"instance 'proxy'.*got SOCK_DGRAM at \('127.0.0.1', {port}\)"):
            receiver(transport, **more)


def test_path(descriptors, tmp_path):
    """The path of a UNIX socket that another process holds is not removed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"{tmp_path}/proxy.sock")
        descriptors("proxy", sock)
        found, is_handed_over = receiver("unix", path=f"{tmp_path}/proxy.sock")
        assert is_handed_over
        found.close()
    assert os.path.exists(f"{tmp_path}/proxy.sock")

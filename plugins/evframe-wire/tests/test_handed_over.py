"""Sockets that were bound by another process, and that addresses use."""

import os
import socket

import pytest
from evframe_wire.bound import BoundAddress
from evframe_wire.endpoints import Access
from evframe_wire.handed_over import HANDED_OVER, HandedOver, HeldSocket


@pytest.fixture
def hold(monkeypatch, tmp_path):
    """Bind sockets, as another process does, and hand them over to this one: `hold(kind, address)`."""
    made = []
    monkeypatch.setattr(HANDED_OVER, "_held", [])

    def hold(kind, address=("127.0.0.1", 0), name="held"):
        family = socket.AF_UNIX if isinstance(address, str) else socket.getaddrinfo(*address)[0][0]
        sock = socket.socket(family, kind)
        made.append(sock)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen()
        HANDED_OVER.held.append(HeldSocket.of(name, sock.fileno()))
        return sock

    yield hold
    for sock in made:
        sock.close()


def bound(kind, target):
    return BoundAddress(kind, target, Access(0o600))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_port(hold, kind, host):
    """The socket at an address is used, does not wait, and stays open when the address is closed."""
    sock = hold(kind, (host, 0))
    target = sock.getsockname()[:2]
    for _ in range(2):
        address = bound(kind, target)
        assert (address.address, address.is_at(target), address.socket.getblocking()) == (target, True, False)
        assert HANDED_OVER.unused == []
        assert not address.socket.get_inheritable()
        with socket.socket(sock.family, kind) as peer:
            peer.connect(target)
            if kind == socket.SOCK_DGRAM:
                peer.send(b"x")
                assert sock.recv(9) == b"x"
            else:
                address.socket.accept()[0].close()
        address.close()
        assert [str(each) for each in HANDED_OVER.unused] == [str(HANDED_OVER.held[0])]


def test_name_of_a_host(hold):
    """A name is compared by its address."""
    target = ("localhost", hold(socket.SOCK_DGRAM, ("localhost", 0)).getsockname()[1])
    address = bound(socket.SOCK_DGRAM, target)
    assert HANDED_OVER.unused == []
    address.close()


def test_path(hold, tmp_path):
    """A path, its mode and its owner stay as they are."""
    path = str(tmp_path / "mi.sock")
    hold(socket.SOCK_DGRAM, path)
    os.chmod(path, 0o640)
    address = bound(socket.SOCK_DGRAM, path)
    assert address.is_at(path)
    address.give(Access(0o666))
    address.remove_path()
    address.close()
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_path_through_a_link(hold, tmp_path):
    """The folders of a path may be links, as /var/run is: it is the same socket, also at the next reload."""
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    for first, second in (("run", "link"), ("link", "run"), ("run/../link/", "run")):
        name = f"{first.replace('/', '.')}.sock"
        hold(socket.SOCK_DGRAM, f"{tmp_path}/{first}/{name}")
        target = f"{tmp_path}/{second}/{name}"
        address = bound(socket.SOCK_DGRAM, target)
        assert HANDED_OVER.unused == []
        assert address.is_at(target)
        assert not address.is_at(f"{tmp_path}/{second}/other.sock")
        address.close()
        HANDED_OVER.held.clear()


def test_own_path_through_a_link(hold, tmp_path):
    """A path that was bound here is the same through a link: a reload leaves it bound."""
    (tmp_path / "link").symlink_to(".")
    address = bound(socket.SOCK_DGRAM, f"{tmp_path}/mi.sock")
    assert address.is_at(f"{tmp_path}/link/mi.sock")
    address.close()


def test_path_that_is_lost(hold, tmp_path):
    """A socket whose path was removed is lost; a port, and a socket without an address, cannot be."""
    path = tmp_path / "mi.sock"
    for kind, address in ((socket.SOCK_DGRAM, str(path)), (socket.SOCK_DGRAM, ("127.0.0.1", 0))):
        hold(kind, address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed:
        HANDED_OVER.held.append(HeldSocket.of("unnamed", unnamed.fileno()))
        assert [each.is_lost for each in HANDED_OVER.held] == [False, False, False]
        path.unlink()
        assert [each.is_lost for each in HANDED_OVER.held] == [True, False, False]


def test_datagrams_wait_for_the_next_one(hold):
    """What arrives while nothing uses the socket waits in the kernel."""
    sock = hold(socket.SOCK_DGRAM)
    target = sock.getsockname()
    bound(socket.SOCK_DGRAM, target).close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for number in range(20):
            peer.sendto(b"%d" % number, target)
    address = bound(socket.SOCK_DGRAM, target)
    assert [int(address.socket.recv(9)) for _ in range(20)] == list(range(20))
    address.close()


def test_two_at_one_address(hold):
    """A socket that is in use is none that another address could share."""
    sock = hold(socket.SOCK_STREAM)
    first = bound(socket.SOCK_STREAM, sock.getsockname())
    with pytest.raises(OSError, match="Address already in use"):
        bound(socket.SOCK_STREAM, sock.getsockname())
    first.close()
    bound(socket.SOCK_STREAM, sock.getsockname()).close()


def test_another_address(hold):
    """A socket at another port, or on all addresses, is not the one that is meant."""
    sock = hold(socket.SOCK_DGRAM, ("127.0.0.2", 0))
    address = bound(socket.SOCK_DGRAM, ("127.0.0.1", sock.getsockname()[1]))
    assert len(HANDED_OVER.unused) == 1
    address.close()


def test_another_type(hold, tmp_path):
    """A socket of another type at the path or the port is an error that names both types."""
    path = str(tmp_path / "mi.sock")
    hold(socket.SOCK_STREAM, path, name="mi")
    with pytest.raises(OSError, match="expected SOCK_DGRAM, got SOCK_STREAM 'mi' there"):
        bound(socket.SOCK_DGRAM, path)
    assert os.path.exists(path)


def test_the_same_port_of_another_type(hold):
    """A port of datagrams says nothing about the port of connections with its number."""
    target = hold(socket.SOCK_DGRAM).getsockname()
    assert HANDED_OVER.at(socket.SOCK_STREAM, target) is None
    assert HANDED_OVER.at(socket.SOCK_DGRAM, target) is HANDED_OVER.held[0]


@pytest.mark.parametrize(("held", "wanted"), [("::", "127.0.0.1"), ("::", "0.0.0.0"), ("127.0.0.1", "0.0.0.0")])
def test_all_addresses_and_one_of_them(hold, held, wanted):
    """The port on all addresses is not that on one of them, and the error names both."""
    port = hold(socket.SOCK_STREAM, (held, 0), name="mi").getsockname()[1]
    place = "\\[::\\]" if held == "::" else held
    with pytest.raises(
        OSError, match=f"expected this address of 'mi', which was handed over, got .* at {place}:{port}"
    ):
        bound(socket.SOCK_STREAM, (wanted, port))


def test_what_is_no_such_socket():
    """A connection, a socket that does not listen, and what is no socket at all are refused."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(OSError, match="expected a socket that listens"):
        HeldSocket.of("a", ours.fileno())
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other,
        pytest.raises(OSError, match="got (SOCK_SEQPACKET|5)"),
    ):
        HeldSocket.of("a", other.fileno())
    read, write = os.pipe()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="not a socket|non-socket"):
        HeldSocket.of("a", read)
    os.close(write)
    os.fstat(read)  # it stays open
    assert len(os.listdir("/proc/self/fd")) == len(before) - 1
    os.close(read)
    with pytest.raises(OSError, match="Bad file descriptor"):
        HeldSocket.of("a", read)


def test_as_text(hold, tmp_path):
    """A listing has the type and the place."""
    sock = hold(socket.SOCK_DGRAM)
    hold(socket.SOCK_STREAM, f"{tmp_path}/a")
    hold(socket.SOCK_DGRAM, "\0evframe-abstract-%d" % os.getpid())
    texts = [str(each) for each in HANDED_OVER.held]
    assert texts[0] == f"SOCK_DGRAM at 127.0.0.1:{sock.getsockname()[1]}"
    assert texts[1] == f"SOCK_STREAM at unix:{tmp_path}/a"
    assert texts[2].startswith("SOCK_DGRAM at b'\\x00evframe-abstract-")


def test_the_source_is_asked_once(hold):
    """The sockets are looked for when an address is bound, and then known; another source is asked again."""
    asked = []
    sockets = HandedOver()
    assert sockets.held == []

    def source():
        asked.append(1)
        return HANDED_OVER.held

    hold(socket.SOCK_DGRAM)
    for _ in range(2):
        sockets.come_from(source)
        assert len(sockets.held) == 1
    assert asked == [1]

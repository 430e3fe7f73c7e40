"""Ports, paths, and what is left alone in the file system."""

import os
import socket
import stat
import threading

import pytest
from evframe_options import read_secret
from evframe_wire.endpoints import (
    Access,
    OwnPath,
    bind_inet,
    bind_unix,
    clear_path,
    endpoint_text,
    is_loopback,
    known_group,
    known_user,
    parse_endpoint,
)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:8888", ("127.0.0.1", 8888)),
        ("[::1]:8888", ("::1", 8888)),
        ("localhost:0", ("localhost", 0)),
        ("unix:/run/mi.sock", "/run/mi.sock"),
    ],
)
def test_endpoints(text, endpoint):
    """A host with a port, port 0 too, or a UNIX path; and back to its text."""
    assert parse_endpoint(text) == endpoint
    assert endpoint_text(endpoint) == text


@pytest.mark.parametrize(
    "text", ["8888", "127.0.0.1:99999", ":0", "::1:8888", "unix:", "unix:" + "x" * 108, "unix:a\0"]
)
def test_bad_endpoints(text):
    """Anything else is an error that says what is expected."""
    with pytest.raises(ValueError, match="^expected"):
        parse_endpoint(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example.com", False),
        ("gateway", False),
    ],
)
def test_loopback(host, loopback):
    """Only what certainly cannot be reached from outside is loopback."""
    assert is_loopback(host) is loopback


def test_access(tmp_path):
    """A path gets its mode, user and group; mode 0 stands for 600."""
    bound, own = bind_unix(socket.SOCK_DGRAM, str(tmp_path / "a"), Access.of("660", os.getuid(), str(os.getgid())))
    with bound:
        found = os.stat(own.path)
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, os.getuid(), os.getgid())
    assert Access.of("0") == Access(0o600)
    assert Access.of("0755", "root", "root") == Access(0o755, 0, 0)


@pytest.mark.parametrize("check", [known_user, known_group])
def test_unknown_owner(check):
    """A user or group that does not exist is an error that names the option."""
    attribute = type("Attribute", (), {"name": "option"})
    for value in (None, 0, "0", "root"):
        check(None, attribute, value)
    for value in ("no such name", -1, ""):
        with pytest.raises(ValueError, match="^option: expected a"):
            check(None, attribute, value)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_stale_socket_is_taken_over(tmp_path, kind):
    """A socket that no process has any more makes room, whatever kind it was of."""
    path = str(tmp_path / "mi")
    for left in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, left) as stale:
            stale.bind(path)
        bound, own = bind_unix(kind, path, Access(0o600))
        bound.close()
        own.remove()
        assert not os.path.lexists(path)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("other", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_live_socket_is_left_alone(tmp_path, kind, other):
    """A socket that somebody has is an error, and works on."""
    path = str(tmp_path / "mi")
    with socket.socket(socket.AF_UNIX, other) as live:
        live.bind(path)
        if other == socket.SOCK_STREAM:
            live.listen()
        with pytest.raises(OSError, match="in use"):
            bind_unix(kind, path, Access(0o600))
        with socket.socket(socket.AF_UNIX, other) as client:
            client.connect(path)


def test_live_fifo_is_left_alone(tmp_path):
    """A FIFO with a reader stays; one without makes room."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="in use"):
            clear_path(path, stat.S_IFIFO)
    finally:
        os.close(reader)
    clear_path(path, stat.S_IFIFO)
    assert not os.path.lexists(path)


@pytest.mark.parametrize("kind", [stat.S_IFSOCK, stat.S_IFIFO])
def test_what_is_something_else_is_left_alone(tmp_path, kind):
    """Files, directories, symbolic links, hard links and the other kind are errors, and stay."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for path, made in ((right, kind), (wrong, stat.S_IFSOCK + stat.S_IFIFO - kind)):
        os.mknod(path, 0o600 | made)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "symbolic").symlink_to(right)
    for name in ("wrong", "file", "folder", "symbolic"):
        with pytest.raises(OSError, match="expected nothing, or a"):
            clear_path(str(tmp_path / name), kind)
    os.link(right, tmp_path / "hard")
    with pytest.raises(OSError, match="expected nothing, or a"):
        clear_path(str(tmp_path / "hard"), kind)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "hard", "right", "symbolic", "wrong"]


def test_own_path(tmp_path):
    """A path that somebody else has made meanwhile is not removed."""
    path = tmp_path / "mi"
    path.write_text("mine")
    own = OwnPath(str(path))
    assert own.is_there
    other = tmp_path / "other"
    other.write_text("theirs")
    other.rename(path)
    assert not own.is_there
    own.remove()
    assert path.read_text() == "theirs"


def test_port_in_use():
    """A port is bound once."""
    with bind_inet(socket.SOCK_DGRAM, "127.0.0.1", 0) as first:
        with pytest.raises(OSError, match="in use"):
            bind_inet(socket.SOCK_DGRAM, *first.getsockname())


def test_secret(tmp_path):
    """A secret is the one line of a file that others cannot use."""
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    path.chmod(0o640)
    assert read_secret(str(path)) == "s3cret"
    for mode in (0o644, 0o642, 0o641):
        path.chmod(mode)
        with pytest.raises(ValueError, match="others cannot use .*got mode"):
            read_secret(str(path))
    path.chmod(0o600)
    for text, size in (
        ("", "0 bytes in 0"),
        ("\n", "1 bytes in 1"),
        ("two\nlines", "9 bytes in 2"),
        ("x" * 5000, "more"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"one line of text in UTF-8.* of 1 to 4096 bytes.*, got {size}") as caught:
            read_secret(str(path))
        assert "two" not in str(caught.value)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="one line of text"):
        read_secret(str(path))


def test_secret_that_cannot_be_read(tmp_path):
    """A file that is missing is an error that names it; a FIFO is none, and the call does not wait for it."""
    with pytest.raises(ValueError, match="can be read.*nosuch.*No such file"):
        read_secret(str(tmp_path / "nosuch"))
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ValueError, match="one line of text"):
        read_secret(str(tmp_path / "fifo"))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_same_port_on_another_address(kind):
    """Only the socket that a new one takes the place of may have its port, and only while it is bound."""
    with bind_inet(kind, "127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            bind_inet(kind, "0.0.0.0", port)
        with bind_inet(kind, "0.0.0.0", port, beside=first) as second:
            assert second.getsockname()[1] == port
            assert not second.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
            for host in ("127.0.0.1", "0.0.0.0"):
                with pytest.raises(OSError, match="in use"):
                    bind_inet(kind, host, port)
    with bind_inet(kind, "127.0.0.1", 0) as first, bind_inet(kind, "127.0.0.1", 0) as other:
        with pytest.raises(OSError, match="in use"):
            bind_inet(kind, "127.0.0.1", other.getsockname()[1], beside=first)
        assert not first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)


def test_a_name_that_is_bound(monkeypatch):
    """A name can be bound; one that does not resolve in time is an error, and takes a bounded time."""
    released = threading.Event()
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *rest, flags=0, **more):
        if host == "silent.example" and not flags & socket.AI_NUMERICHOST:
            released.wait(60)
        return look_up(host, *rest, flags=flags, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("evframe_wire.endpoints.BIND_LOOKUP_S", 0.05)
    try:
        with bind_inet(socket.SOCK_STREAM, "localhost", 0) as bound:
            assert bound.getsockname()[0] in {"127.0.0.1", "::1"}
        for host, problem in (("silent.example", "no answer within 0.05 s"), ("a..b", "label")):
            with pytest.raises(OSError, match=f"expected a host that resolves, got '{host}': .*{problem}"):
                bind_inet(socket.SOCK_STREAM, host, 0)
    finally:
        released.set()

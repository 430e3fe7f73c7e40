"""What the service manager hands over: descriptors from a number on, with names, for one process."""

import os
import socket
import subprocess
import sys

import pytest
from evframe_systemd import ServiceNotifier
from evframe_systemd.sockets import handed_over, keep_from_children
from evframe_wire.handed_over import HANDED_OVER, HeldSocket

import evframe
from evframe.testing import FakeClock
from evframe.testing import until as until_in_loop


@pytest.fixture
def given(monkeypatch):
    """Return a UDP socket, which is the first descriptor that is handed over, and the environment that says so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        monkeypatch.setattr("evframe_systemd.sockets._FIRST", sock.fileno())
        yield sock, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "mi", "LISTEN_PIDFDID": "7"}


def lines(caplog):
    return [(each.message, each.__dict__.get("got", each.__dict__.get("problem"))) for each in caplog.records]


def test_names(given):
    """Each descriptor has its name, or none where they have none."""
    sock, environment = given
    for names, name in (("mi", "mi"), ("a b", "a b"), ("", "unknown")):
        (found,) = handed_over(environment | {"LISTEN_FDNAMES": names})
        assert (found.name, found.descriptor, found.address) == (name, sock.fileno(), sock.getsockname())
    environment.pop("LISTEN_FDNAMES")
    assert [each.name for each in handed_over(environment)] == ["unknown"]


@pytest.mark.parametrize("pid", ["1", "", "x", None])
def test_another_process(given, caplog, pid):
    """What was inherited from a process that it was meant for is left alone, with its variables."""
    _, environment = given
    environment["LISTEN_PID"] = pid
    if pid is None:
        environment.pop("LISTEN_PID")
    before = dict(environment)
    assert handed_over(environment) == []
    keep_from_children([], environment)
    assert environment == before
    assert caplog.records == []


@pytest.mark.parametrize("count", ["", "x", "-1", "²", "1.0", "4097", "9" * 5000])
def test_counts_that_are_none(given, caplog, count):
    """A count that is none is logged, and hands nothing over."""
    _, environment = given
    assert handed_over(environment | {"LISTEN_FDS": count}) == []
    assert lines(caplog) == [("no socket is taken over", count)]


def test_names_of_another_number(given, caplog):
    """More or fewer names than sockets belong to none of them; the sockets are used by their addresses."""
    _, environment = given
    assert [each.name for each in handed_over(environment | {"LISTEN_FDNAMES": "a:b"})] == ["unknown"]
    assert lines(caplog) == [("sockets have no names", 2)]
    assert handed_over(environment | {"LISTEN_FDS": "0", "LISTEN_FDNAMES": ""}) == []


def test_descriptors_that_are_no_sockets(monkeypatch, caplog):
    """A descriptor that is closed, or no socket, is logged with its name, and stays as it is."""
    read, write = os.pipe()
    os.close(write)
    monkeypatch.setattr("evframe_systemd.sockets._FIRST", read)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "fifo"}
    assert handed_over(environment) == []
    os.fstat(read)
    os.close(read)
    assert handed_over(environment) == []
    assert [each.socket for each in caplog.records] == ["fifo", "fifo"]
    assert ["socket" in problem or "descriptor" in problem for _, problem in lines(caplog)] == [True, True]


def test_more_than_there_are(monkeypatch, caplog):
    """Of a number that is too large, one line names the first descriptor that is closed."""
    monkeypatch.setattr("evframe_systemd.sockets._FIRST", 60_000)  # beyond what this process has open
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "4096"}
    assert handed_over(environment) == []
    assert [each.descriptor for each in caplog.records] == [60_000]


def test_children_get_nothing(given):
    """A child of the process has neither the descriptor nor the variables."""
    sock, environment = given
    sock.set_inheritable(True)
    held = handed_over(environment)
    keep_from_children(held, environment)
    assert environment == {}
    script = f"import os; os.fstat({sock.fileno()})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, close_fds=False
    )
    assert "Bad file descriptor" in done.stderr


@pytest.fixture
def held(given, monkeypatch):
    """Hand the socket over to this process."""
    sock, environment = given
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(HANDED_OVER, "_held", None)
    monkeypatch.setattr(HANDED_OVER, "_source", tuple)
    return sock


async def test_a_socket_that_is_not_used(held, caplog):
    """It is logged with its name, type and place, once for each time that its address is left."""
    clock = FakeClock()
    notifier = ServiceNotifier(clock=clock)
    async with evframe.EventInterface(plugins={"systemd": notifier}, gateway=True):
        await until_in_loop(lambda: notifier._status)
        assert not {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} & os.environ.keys()
        (socket_of_service,) = HANDED_OVER.held
        used = socket_of_service.open()
        for _ in range(2):
            clock.advance(5)
            assert notifier.process_due() == 5
        used.close()
        clock.advance(5)
        notifier.process_due()
    records = [each for each in caplog.records if each.name == "evframe.systemd"]
    shown = ("a socket that was handed over is not used", "mi", str(socket_of_service))
    assert [(each.message, each.socket, each.__dict__["is"]) for each in records] == [shown] * 2
    assert str(held.getsockname()[1]) in str(socket_of_service)


async def test_a_path_that_is_gone(held, caplog, tmp_path):
    """It is logged once: no client reaches the socket, although it is open."""
    clock = FakeClock()
    notifier = ServiceNotifier(clock=clock)
    path = tmp_path / "mi.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        async with evframe.EventInterface(plugins={"systemd": notifier}, gateway=True):
            await until_in_loop(lambda: notifier._status)
            HANDED_OVER.held[:] = [HeldSocket.of("mi", sock.fileno())]
            path.unlink()
            for _ in range(2):
                clock.advance(5)
                notifier.process_due()
    gone = [each for each in caplog.records if each.levelname == "ERROR"]
    assert [(each.message, each.socket) for each in gone] == [
        ("the path of a socket that was handed over is gone", "mi")
    ]
    assert str(path) in gone[0].__dict__["is"]


async def test_a_service_keeps_its_sockets(held, caplog):
    """In a service they may be meant for others: nothing is logged, and the variables stay."""
    async with evframe.EventInterface(plugins={"systemd": ServiceNotifier()}):
        assert "LISTEN_FDS" in os.environ
        assert HANDED_OVER.at(socket.SOCK_DGRAM, held.getsockname()) is not None
    assert [each for each in caplog.records if each.name == "evframe.systemd"] == []
    assert isinstance(HANDED_OVER.held[0], HeldSocket)

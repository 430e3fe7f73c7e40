"""The gateway and a service manager, which is a real socket here."""

import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from evframe_systemd import ServiceNotifier
from processes import child, until

import evframe
from evframe.exceptions import Unavailable
from evframe.testing import ConfigFile, FakeClock, MemoryTransport
from evframe.testing import until as until_in_loop

BIN = Path(sys.executable).parent
READY = "READY=1\nSTATUS=0 subscribers, 0 away, 0 events waiting"
STOPPING = "STOPPING=1\nSTATUS=delivers what is queued"


class Manager:
    """A service manager: the socket at which it is notified."""

    def __init__(self, address):
        self.address = address
        self.open()

    def open(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.address.replace("@", "\0") if self.address.startswith("@") else self.address)
        self.sock.settimeout(60)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.sock.close()

    def receive(self):
        """Return the next datagram."""
        return self.sock.recv(4096).decode()

    def received(self):
        """Return the datagrams that have arrived."""
        found = []
        self.sock.setblocking(False)
        try:
            while True:
                found.append(self.receive())
        except BlockingIOError:
            return found
        finally:
            self.sock.settimeout(60)

    def fill(self):
        """Send to the socket until it has no more room."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    other.sendto(b"", self.sock.getsockname())


@pytest.fixture(params=["path", "abstract"])
def any_manager(request, tmp_path):
    address = f"{tmp_path}/notify" if request.param == "path" else f"@evframe-{os.getpid()}-{time.time_ns()}"
    with Manager(address) as manager:
        yield manager


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """Return the manager that the environment of this process names."""
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with Manager(f"{tmp_path}/notify") as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        yield manager


def gateway(notifier, *, is_gateway=True, **plugins):
    return evframe.EventInterface(plugins={"systemd": notifier, **plugins}, gateway=is_gateway)


async def begin(interface):
    """Return once the notifier has done its first turn."""
    notifier = interface.plugin("systemd")
    await until_in_loop(lambda: notifier._status)


def test_life_of_a_process(any_manager, tmp_path):
    """A gateway notifies that it is ready, of a reload and of its end, and feeds the watchdog meanwhile."""
    file, management = ConfigFile(tmp_path / "evframe.toml", "systemd", "mi", "mi-datagram"), tmp_path / "mi.sock"
    file.write(f'[plugins.mi-datagram]\nsocket_name = "{management}"\n')
    # An exec keeps the pid, which is known here only once the process runs: WATCHDOG_PID has another test.
    environment = {**os.environ, "NOTIFY_SOCKET": any_manager.address, "WATCHDOG_USEC": "200000"}
    environment.pop("WATCHDOG_PID", None)
    with child(str(BIN / "evframe"), "run", "-c", str(file.path), env=environment) as process:
        assert any_manager.receive() == READY
        assert management.is_socket()
        assert [any_manager.receive() for _ in range(3)] == ["WATCHDOG=1"] * 3

        sent_at = time.monotonic_ns() // 1000
        process.send_signal(signal.SIGHUP)
        (reloading,) = [text for text in iter(any_manager.receive, "READY=1") if text != "WATCHDOG=1"]
        name, _, usec = reloading.partition("\nMONOTONIC_USEC=")
        assert name == "RELOADING=1"
        assert sent_at <= int(usec) <= time.monotonic_ns() // 1000

        process.send_signal(signal.SIGTERM)
        assert set(iter(any_manager.receive, STOPPING)) <= {"WATCHDOG=1"}
        assert process.wait(60) == 0
    assert any_manager.received() == []


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify", "@nothing-listens", "vsock:2:1", "x" * 200])
def test_process_without_a_service_manager(address, tmp_path):
    """A gateway runs and ends as ever without a manager, and with one that cannot be reached."""
    file = ConfigFile(tmp_path / "evframe.toml", "systemd")
    file.write()
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    environment |= {"WATCHDOG_USEC": "1000000"} | ({} if address is None else {"NOTIFY_SOCKET": address})
    log = tmp_path / "log"
    with (
        log.open("w") as stderr,
        child(str(BIN / "evframe"), "run", "-c", str(file.path), env=environment, stderr=stderr) as process,
    ):
        until(lambda: process.poll() is not None or "the gateway is ready" in log.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert log.read_text().count("cannot be notified") == (1 if address else 0)


async def test_ready_when_every_plugin_has_started(manager):
    """Nothing is sent before the last plugin has started."""
    seen = []

    class Late:
        @evframe.hookimpl
        def start(self, context):
            seen.append(manager.received())

    async with gateway(ServiceNotifier(), late=Late()) as interface:
        await begin(interface)
        assert seen == [[]]
        assert manager.received() == [READY]
    assert manager.received() == [STOPPING]


async def test_start_that_fails(manager):
    """A gateway that does not start is never ready, and sends nothing."""

    class Broken:
        @evframe.hookimpl
        def start(self, context):
            raise OSError("in use")

    with pytest.raises(OSError, match="in use"):
        async with gateway(ServiceNotifier(), broken=Broken()):
            pass
    assert manager.received() == []


async def test_service_that_embeds_evframe(manager):
    """In a service, which knows itself when it is ready, nothing is sent."""
    async with gateway(ServiceNotifier(), is_gateway=False):
        pass
    assert manager.received() == []


async def test_status_when_it_changes(manager):
    """The status has the numbers of the subscribers, at most every five seconds, and only when they change."""
    clock, memory = FakeClock(), MemoryTransport()

    def refuse(_):
        raise Unavailable("off")

    async with gateway(ServiceNotifier(clock=clock), memory=memory) as interface:
        await begin(interface)
        notifier = interface.plugin("systemd")
        interface.register_event("E_X")
        assert notifier.process_due() == 5
        interface.subscribe_event("E_X", "memory:a")
        clock.advance(4)
        assert notifier.process_due() == 1
        assert manager.received() == [READY]

        clock.advance(1)
        assert notifier.process_due() == 5
        clock.advance(5)
        notifier.process_due()
        assert manager.received() == ["STATUS=1 subscriber, 0 away, 0 events waiting"]

        memory.when("b", refuse)
        interface.subscribe_event("E_X", "memory:b")
        interface.raise_event("E_X")
        (lease,) = [lease for lease in interface.subscriptions if lease.subscriber.socket.name == "b"]
        await until_in_loop(lambda: lease.subscriber.away and memory.delivered.get("a"))
        clock.advance(5)
        notifier.process_due()
        assert manager.received() == ["STATUS=2 subscribers, 1 away, 1 event waiting"]
        memory.when("b", None)


async def test_a_reload_that_is_refused(manager, tmp_path):
    """The status shows the first problem, on one line, until a reload is applied."""
    clock = FakeClock()
    async with gateway(ServiceNotifier(clock=clock)) as interface:
        await begin(interface)
        notifier = interface.plugin("systemd")
        manager.received()
        for problems, shown in (
            (["a.toml:3: core: no\nMAINPID=1", "b"], r"a.toml:3: core: no\nMAINPID=1, and 1 more"),
            (["x" * 300], "x" * 200),
        ):
            interface.plugins.notify("reload_refused", problems=problems)
            clock.advance(5)
            notifier.process_due()
            before = "STATUS=0 subscribers, 0 away, 0 events waiting"
            assert manager.received() == [f"{before}; the last reload was refused: {shown}"]
        interface.plugins.notify("reloaded", changes=None)
        clock.advance(5)
        notifier.process_due()
        assert manager.received()[-1] == before


async def test_watchdog_at_half_of_its_interval(manager, monkeypatch):
    """The watchdog is fed at once and then at half of its interval, beside the status."""
    monkeypatch.setenv("WATCHDOG_USEC", "4000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    clock = FakeClock()
    async with gateway(ServiceNotifier(clock=clock)) as interface:
        await begin(interface)
        notifier = interface.plugin("systemd")
        assert manager.received() == [READY, "WATCHDOG=1"]
        assert notifier.process_due() == 2
        clock.advance(1.5)
        assert notifier.process_due() == 0.5
        assert manager.received() == []
        clock.advance(0.5)
        assert notifier.process_due() == 2
        clock.advance(2)
        assert notifier.process_due() == 1  # until the next look at the subscribers
        assert manager.received() == ["WATCHDOG=1", "WATCHDOG=1"]


@pytest.mark.parametrize(
    ("usec", "pid"), [("4000000", "1"), ("4000000", ""), ("0", None), ("", None), ("-1", None), ("²", None)]
)
async def test_watchdog_of_another_process(manager, monkeypatch, usec, pid):
    """A watchdog for another process, or with an interval that is no number, is not fed."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    async with gateway(ServiceNotifier()) as interface:
        await begin(interface)
    assert manager.received() == [READY, STOPPING]


async def test_socket_without_room(manager, monkeypatch, caplog):
    """What a full socket refuses is sent later, in its order; the watchdog is fed then, too."""
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    clock = FakeClock()
    manager.fill()
    async with gateway(ServiceNotifier(clock=clock)) as interface:
        await begin(interface)
        notifier = interface.plugin("systemd")
        interface.plugins.notify("reloaded", changes=None)
        assert notifier.process_due() == 1
        assert set(manager.received()) == {""}
        clock.advance(1)
        assert notifier.process_due() == 4
        reloading = manager.received()
        assert [text.partition("\n")[0] for text in reloading] == ["READY=1", "RELOADING=1", "READY=1", "WATCHDOG=1"]
    lines = [record for record in caplog.records if record.name == "evframe.systemd"]
    assert [(line.levelno, line.address) for line in lines] == [(logging.WARNING, manager.address)]


async def test_end_with_a_socket_without_room(manager):
    """The end that a full socket refuses is sent when what was queued is delivered."""

    class Last:
        @evframe.hookimpl
        def stop(self):  # before that of the notifier, which was loaded earlier
            seen.extend(manager.received())

    seen = []
    async with gateway(ServiceNotifier(), last=Last()) as interface:
        await begin(interface)
        manager.fill()
    assert seen[0] == READY
    assert set(seen[1:]) == {""}
    assert manager.received() == [STOPPING]


async def test_service_manager_that_returns(manager, caplog):
    """A manager that was restarted is notified again; many reloads meanwhile leave the last states alone."""
    clock = FakeClock()
    async with gateway(ServiceNotifier(clock=clock)) as interface:
        await begin(interface)
        notifier = interface.plugin("systemd")
        manager.sock.close()
        os.unlink(manager.address)
        for _ in range(50):
            interface.plugins.notify("reloaded", changes=None)
        manager.open()
        clock.advance(1)
        notifier.process_due()
        states = manager.received()
        assert [text.partition("\n")[0] for text in states] == ["RELOADING=1", "READY=1"] * 4
    assert manager.received() == [STOPPING]


async def test_plugin_that_a_reload_removes_and_adds(manager, monkeypatch, tmp_path):
    """A gateway without the plugin has no watchdog, which would kill it; with it again, it has."""
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    file = ConfigFile(tmp_path / "evframe.toml", "systemd")
    without = ConfigFile(tmp_path / "evframe.toml")
    file.write()
    async with evframe.EventInterface.from_toml(file.path, gateway=True) as interface:
        await begin(interface)
        assert manager.received() == [READY, "WATCHDOG=1"]
        without.write()
        interface.reload()
        found = []
        await until_in_loop(lambda: found.extend(manager.received()) or "WATCHDOG_USEC=0" in found)
        assert [text.partition("\n")[0] for text in found][-1:] == ["WATCHDOG_USEC=0"]
        file.write()
        interface.reload()
        await begin(interface)
        states = [text.partition("\n")[0] for text in manager.received()]
        assert states == ["WATCHDOG_USEC=60000000", "RELOADING=1", "READY=1", "READY=1", "WATCHDOG=1"]
    assert manager.received() == [STOPPING]

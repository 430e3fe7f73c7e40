"""The unit under a real systemd, which is the first process of a container: a trial of .ci/long, which needs root."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import evframe_systemd
import pytest
from processes import child, until

import evframe

FOLDER = Path(evframe_systemd.__file__).parent
BIN = Path(sys.executable).parent
FOLDERS = sorted({str(Path(evframe.__file__).parents[1]), sys.prefix})
"""The checkout and the environment."""

# The container has the files of this machine below those that it writes, and a cgroup in which it is the root. The
# folders of the checkout and of the environment may be on other file systems, or closed to the user of the unit.
BOOT = """
set -eu
base=$1 root=$1/root
shift
mount --make-rprivate /
mount -t tmpfs tmpfs "$base/layers"
mkdir "$base/layers/upper" "$base/layers/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/layers/upper,workdir=$base/layers/work" "$root"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
for folder; do
  mkdir -p "$root$folder"
  mount --rbind "$folder" "$root$folder"
  while folder=$(dirname "$folder"); [ "$folder" != / ]; do chmod o+x "$root$folder"; done
done
: >"$root/etc/fstab"
rm -rf "$root"/etc/systemd/system/*
cp -r "$base/etc/." "$root/etc/"
mkdir "$root/tmp/old"
cd "$root"
pivot_root . tmp/old
umount -l /tmp/old
systemd-sysusers
exec env -i container=evframe PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=evframe.service
"""
ENTER = """
set -eu
mkdir "$1"
echo $$ >"$1/cgroup.procs"
shift
exec unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child bash -c "$@"
"""
# What the unit hides may have the checkout or the environment.
HIDDEN = {"/home/": "ProtectHome", "/root/": "ProtectHome", "/tmp/": "PrivateTmp", "/var/tmp/": "PrivateTmp"}
SHOWN = sorted({f"{option}=no" for top, option in HIDDEN.items() if any(each.startswith(top) for each in FOLDERS)})
DROP_IN = "\n".join(["[Service]", *SHOWN, "RestartSec=0", "Environment=PYTHONPATH=/etc/evframe", ""])
# A short watchdog has the test end soon.
WATCHDOG = """
[Service]
WatchdogSec=2
"""
ROUTE = """
import time

async def hang(event):
    time.sleep(600)  # on the loop
"""
CONFIGURATION = """
[[events]]
name = "E_HANG"

[routes]
E_HANG = "hanging_route:hang"
"""

SOCKETS = """
[Service]
Sockets=evframe-mi-http.socket evframe-bridge.socket
"""
REMOTE = """
[core]
state_path = ""
[[events]]
name = "E_NUMBER"
[plugins.mi-http]
bind = "127.0.0.1:9999"
"""
BRIDGE = """
[[plugins.opensips.instances]]
name = "proxy-1"
url = "http://127.0.0.1:9999/mi"
port = 20001
[plugins.opensips]
events = ["E_NUMBER"]
check_interval_s = 0.1
[plugins.mi-http]
bind = "127.0.0.1:8888"
[[subscriptions]]
event = "E_NUMBER"
socket = "udp:127.0.0.1:9000"
"""
# Raises events at the remote gateway while the other one is started again twice; prints which numbers have arrived, and
# the errors of requests to its management interface that came meanwhile.
RESTARTS = """
import json, socket, subprocess, threading
from evframe_client import Client, ManagementError

COUNT = 2000
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
receiver.bind(("127.0.0.1", 9000))
receiver.settimeout(30)
remote, gateway = Client("http://127.0.0.1:9999/mi"), "http://127.0.0.1:8888/mi"
while True:
    try:
        if any(each["ready"] for each in Client(gateway).call("opensips:instances")["Instances"]):
            break
    except ManagementError:
        pass
problems, is_over = [], threading.Event()

def ask():
    while not is_over.is_set():
        try:
            socket.create_connection(("127.0.0.1", 8888), 30).close()
        except OSError as error:
            problems.append(str(error))

def restart():
    for _ in range(2):
        subprocess.run(["systemctl", "restart", "evframe"], check=True)
    is_over.set()

threads = [threading.Thread(target=each) for each in (ask, restart)]
for thread in threads:
    thread.start()
raised = 0
while not is_over.is_set() or raised < COUNT:
    remote.call("raise_event", ["E_NUMBER", [raised]])
    raised += 1
for thread in threads:
    thread.join()
found = set()
try:
    while len(found) < raised:
        found.add(int(json.loads(receiver.recv(65536))["params"][0]))
except TimeoutError:
    pass
print(json.dumps([raised, sorted(set(range(raised)) - found), problems]))
"""


class Container:
    """A container whose first process is systemd."""

    def __init__(self, pid):
        self._enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]

    def run(self, *words, given=None):
        words = [*self._enter, *words]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, input=given)

    def show(self, name):
        return self.run("systemctl", "show", "evframe", "--value", f"--property={name}").stdout.strip()

    def configure(self, text):
        assert self.run("tee", "/etc/evframe/evframe.toml", given=text).returncode == 0

    def journal(self):
        return self.run("journalctl", "--output=cat", "--no-pager", "--boot").stdout


def remove_cgroup(path):
    """Remove a cgroup with those below it, and return whether none is left."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True


@contextmanager
def booted(base):
    """Boot the container whose files of /etc are in a folder of *base*; it ends with the block."""
    (mounted,) = subprocess.run(
        ["findmnt", "-rn", "-t", "cgroup2", "-o", "TARGET", "--first-only"], capture_output=True, text=True, check=True
    ).stdout.split()
    cgroup = f"{mounted}/evframe-{os.getpid()}"
    words = ("-c", ENTER, "enter", cgroup, BOOT, "boot", str(base), *FOLDERS)
    with (base / "boot.log").open("w") as log:
        try:
            with child(shutil.which("bash"), *words, stdout=log, stderr=log) as process:
                own = Path(f"/proc/{process.pid}/task/{process.pid}")
                children = own / "children"

                def is_entered():  # the shell before has children, too
                    return own.joinpath("comm").read_text() == "unshare\n" and children.read_text().split()

                until(lambda: process.poll() is not None or is_entered())
                assert process.poll() is None, (base / "boot.log").read_text()
                container = Container(children.read_text().split()[0])
                until(lambda: process.poll() is not None or container.show("ActiveState") in {"active", "failed"})
                assert process.poll() is None, (base / "boot.log").read_text()
                assert container.show("ActiveState") == "active", container.journal()
                yield container
        finally:
            until(partial(remove_cgroup, cgroup))


@pytest.fixture
def boot(tmp_path):
    """Boot the container with a configuration of the gateway, and further files of /etc."""
    with ExitStack() as stack:

        def boot(configuration, **files):
            etc = tmp_path / "etc"
            unit = (FOLDER / "evframe.service").read_text().replace("/opt/evframe/bin/", f"{BIN}/")
            given = {
                "systemd/system/evframe.service": unit,
                "systemd/system/evframe.service.d/test.conf": DROP_IN,
                "sysusers.d/evframe.conf": (FOLDER / "evframe.sysusers").read_text(),
                "evframe/hanging_route.py": ROUTE,
                "evframe/evframe.toml": configuration,
                **files,
            }
            for name, text in given.items():
                (etc / name).parent.mkdir(parents=True, exist_ok=True)
                (etc / name).write_text(text)
            for folder in ("root", "layers"):
                (tmp_path / folder).mkdir()
            return stack.enter_context(booted(tmp_path))

        yield boot


def test_life_under_systemd(boot):
    """The unit is ready, reloads, refuses a wrong configuration, and restarts a gateway that hangs."""
    container = boot(CONFIGURATION, **{"systemd/system/evframe.service.d/watchdog.conf": WATCHDOG})
    assert container.show("StatusText") == "1 subscriber, 0 away, 0 events waiting"
    first = container.show("MainPID")

    assert container.run("systemctl", "reload", "evframe").returncode == 0
    container.configure('[core]\nqueue_size = "a"\n')
    assert container.run("systemctl", "reload", "evframe").returncode != 0
    assert "core.queue_size: expected int, got 'a'" in container.journal()
    assert (container.show("MainPID"), container.show("ActiveState")) == (first, "active")
    container.run("systemctl", "kill", "--kill-whom=main", "--signal=HUP", "evframe")  # without the check before
    refused = "; the last reload was refused: /etc/evframe/evframe.toml:2: core.queue_size: expected int, got 'a'"
    until(lambda: container.show("StatusText").endswith(refused))

    container.configure(f'{CONFIGURATION}[plugins]\ndisable = ["systemd"]\n')
    assert container.run("systemctl", "reload", "evframe").returncode == 0
    until(lambda: container.show("WatchdogUSec") == "0")  # or else it would be ended
    container.configure(CONFIGURATION)
    assert container.run("systemctl", "reload", "evframe").returncode == 0
    until(lambda: container.show("WatchdogUSec") == "2s")

    container.run(str(BIN / "evframe"), "raise", "E_HANG")
    until(lambda: container.show("NRestarts") == "1" and container.show("ActiveState") == "active")
    assert container.show("MainPID") != first
    assert "Watchdog timeout" in container.journal()

    assert container.run("systemctl", "stop", "evframe").returncode == 0
    assert (container.show("Result"), container.show("ExecMainStatus")) == ("success", "0")

    container.configure('[core]\nqueue_size = "a"\n')
    for status in ("78", "2"):
        assert container.run("systemctl", "start", "evframe").returncode != 0
        restarts = container.show("NRestarts")
        assert (container.show("Result"), container.show("ExecMainStatus")) == ("exit-code", status)
        until(lambda: container.show("ActiveState") == "failed")  # and not tried again, as RestartSec is 0 here
        assert container.show("NRestarts") == restarts
        container.run("systemctl", "set-environment", "EVFRAME_CONFIG=/etc/evframe")  # a folder is a wrong word


def test_sockets_that_systemd_has_bound(boot):
    """While the gateway is started again, no event of a bridged one is lost, and no client is refused."""
    sockets = {f"systemd/system/{path.name}": path.read_text() for path in FOLDER.glob("*.socket")}
    drop_in = {"systemd/system/evframe.service.d/sockets.conf": SOCKETS}
    container = boot(BRIDGE, **sockets, **drop_in, **{"evframe/remote.toml": REMOTE})
    run = ("systemd-run", "--unit=remote", "--service-type=notify", f"{BIN}/evframe", "run")
    done = container.run(*run, "--config=/etc/evframe/remote.toml")
    assert done.returncode == 0, done.stderr
    first = container.show("MainPID")

    done = container.run(str(BIN / "python"), "-c", RESTARTS)
    assert done.returncode == 0, done.stderr
    raised, lost, problems = json.loads(done.stdout)
    assert (lost, problems) == ([], [])
    assert raised >= 2000
    assert container.show("MainPID") != first
    assert "handed over" not in container.journal()

    container.configure(BRIDGE.replace(":8888", ":8887"))
    assert container.run("systemctl", "reload", "evframe").returncode == 0
    until(lambda: "a socket that was handed over is not used" in container.journal())


def test_sockets_for_a_gateway_that_runs(boot):
    """They are enabled and the gateway is restarted; systemd would refuse to start them beside it."""
    sockets = {f"evframe/{path.name}": path.read_text() for path in FOLDER.glob("*.socket")}
    container = boot(BRIDGE, **sockets, **{"evframe/sockets.conf": SOCKETS})
    drop_ins = "/etc/systemd/system/evframe.service.d"
    container.run("cp", *(f"/etc/{name}" for name in sockets), "/etc/systemd/system/")
    container.run("cp", "/etc/evframe/sockets.conf", drop_ins)
    units = [path.name for path in FOLDER.glob("*.socket")]
    for words in (("daemon-reload",), ("enable", *units), ("restart", "evframe")):
        done = container.run("systemctl", *words)
        assert done.returncode == 0, done.stderr
    assert container.run("systemctl", "is-active", *units).stdout.split() == ["active"] * len(units)
    assert "handed over" not in container.journal()


def test_traffic_at_the_sockets_of_a_gateway_that_fails(boot):
    """One datagram starts it until StartLimitBurst, whatever its exit code; a reset and a start bring it back."""
    sockets = {f"systemd/system/{path.name}": path.read_text() for path in FOLDER.glob("*.socket")}
    drop_in = {"systemd/system/evframe.service.d/sockets.conf": SOCKETS}
    container = boot(BRIDGE, **sockets, **drop_in)
    units = [path.name for path in FOLDER.glob("*.socket")]

    def states():
        return container.run("systemctl", "is-active", *units).stdout.split()

    container.configure('[core]\nqueue_size = "a"\n')
    assert container.run("systemctl", "restart", "evframe").returncode != 0
    assert states() == ["active"] * len(units)
    send = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 20001))"
    assert container.run(str(BIN / "python"), "-c", send).returncode == 0
    until(lambda: states() == ["failed"] * len(units))
    assert container.show("ExecMainStatus") == "78"
    assert "service-start-limit-hit" in container.journal()

    container.configure(BRIDGE)
    assert container.run("systemctl", "start", "evframe").returncode != 0
    for words in (("reset-failed", "evframe"), ("start", "evframe")):
        done = container.run("systemctl", *words)
        assert done.returncode == 0, done.stderr
    assert states() == ["active"] * len(units)
    assert container.show("ActiveState") == "active"


@pytest.mark.parametrize("folder", ["/run/evframe/", "/run/evframe-"])
def test_sockets_at_paths(boot, folder):
    """A path stays while the gateway ends and starts, also below its RuntimeDirectory, whose owner it has there."""
    path = f"{folder}proxy-1.sock"
    unit = (FOLDER / "evframe-bridge.socket").read_text()
    unit = unit.replace("ListenDatagram=127.0.0.1:20001", f"ListenDatagram={path}\nSocketMode=0660\nSocketGroup=daemon")
    bridge = BRIDGE.replace("port = 20001", f'transport = "unix"\npath = "{path}"')
    drop_in = {"systemd/system/evframe.service.d/sockets.conf": "[Service]\nSockets=evframe-bridge.socket\n"}
    container = boot(bridge, **{"systemd/system/evframe-bridge.socket": unit}, **drop_in)
    for words in (("is-active", "evframe"), ("restart", "evframe"), ("stop", "evframe"), ("start", "evframe")):
        assert container.run("systemctl", *words).returncode == 0
        done = container.run("stat", "--format=%F %G %a", path)
        group = "evframe" if path.startswith("/run/evframe/") else "daemon"
        assert done.stdout == f"socket {group} 660\n", (words, done.stderr)
    assert "handed over" not in container.journal()

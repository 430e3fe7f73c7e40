"""The unit under a real systemd, which is the first process of a container: a trial of .ci/long, which needs root."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import evframe_systemd
import pytest
from processes import child, until

import evframe

FOLDER = Path(evframe_systemd.__file__).parent
BIN = Path(sys.executable).parent

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
# ProtectHome would hide an environment that is below /home; a short watchdog has the test end soon.
DROP_IN = """
[Service]
ProtectHome=no
WatchdogSec=2
RestartSec=0
Environment=PYTHONPATH=/etc/evframe
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
    folders = {str(Path(evframe.__file__).parents[1]), sys.prefix}
    words = ("-c", ENTER, "enter", cgroup, BOOT, "boot", str(base), *sorted(folders))
    with (base / "boot.log").open("w") as log:
        try:
            with child(shutil.which("bash"), *words, stdout=log, stderr=log) as process:
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                until(lambda: process.poll() is not None or children.read_text().split())
                assert process.poll() is None, (base / "boot.log").read_text()
                container = Container(children.read_text().split()[0])
                until(lambda: process.poll() is not None or container.show("ActiveState") == "active")
                assert process.poll() is None, (base / "boot.log").read_text()
                yield container
        finally:
            until(partial(remove_cgroup, cgroup))


@pytest.fixture
def container(tmp_path):
    etc = tmp_path / "etc"
    for folder in ("evframe", "sysusers.d", "systemd/system/evframe.service.d"):
        (etc / folder).mkdir(parents=True)
    for folder in ("root", "layers"):
        (tmp_path / folder).mkdir()
    unit = (FOLDER / "evframe.service").read_text().replace("/opt/evframe/bin/", f"{BIN}/")
    (etc / "systemd/system/evframe.service").write_text(unit)
    (etc / "systemd/system/evframe.service.d/test.conf").write_text(DROP_IN)
    (etc / "sysusers.d/evframe.conf").write_text((FOLDER / "evframe.sysusers").read_text())
    (etc / "evframe/hanging_route.py").write_text(ROUTE)
    (etc / "evframe/evframe.toml").write_text(CONFIGURATION)
    with booted(tmp_path) as container:
        yield container


def test_life_under_systemd(container):
    """The unit is ready, reloads, refuses a wrong configuration, and restarts a gateway that hangs."""
    assert container.show("StatusText") == "1 subscriber, 0 away, 0 events waiting"
    first = container.show("MainPID")

    assert container.run("systemctl", "reload", "evframe").returncode == 0
    container.configure('[core]\nqueue_size = "a"\n')
    assert container.run("systemctl", "reload", "evframe").returncode != 0
    assert "core.queue_size: expected int, got 'a'" in container.journal()
    assert (container.show("MainPID"), container.show("ActiveState")) == (first, "active")

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

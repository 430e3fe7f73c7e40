"""The Debian package in a bare Debian under its systemd, from the installation to the purge: a trial of .ci/long."""

import base64
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from processes import child, until

ROOT = Path(__file__).resolve().parents[2]
DEPENDENCIES = "systemd,dbus,procps,python3,libgcc-s1,libstdc++6,zlib1g"
# systemd is the first process of the container, whose cgroup is that of the shell which starts it.
BOOT = """
set -eu
cgroup=$1 root=$2
mkdir "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
exec unshare --mount --uts --ipc --net --pid --cgroup --fork --kill-child bash -euc '
  mount --make-rprivate /
  mount --bind "$1" "$1"
  mount -t proc proc "$1/proc"
  mount -t sysfs sysfs "$1/sys"
  mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
  mount --rbind /dev "$1/dev"
  mount -t tmpfs -o mode=755 tmpfs "$1/run"
  mount -t tmpfs tmpfs "$1/tmp"
  cd "$1"
  mkdir tmp/old
  pivot_root . tmp/old
  umount -l /tmp/old
  ip link set lo up 2>/dev/null || true
  exec env -i container=evframe PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
' boot "$root"
"""
JOURNAL = ("journalctl", "--unit=evframe", "--output=cat", "--no-pager", "--lines=30")
CONFIGURATION = """
[plugins.journal]

[[events]]
name = "E_CALL_ENDED"

[[policies]]
socket = "tcp:*"
keep = "disk"

[[subscriptions]]
event = "E_CALL_ENDED"
socket = "flatstore:/var/log/evframe/calls.log"

[[subscriptions]]
event = "E_CALL_ENDED"
socket = "tcp:127.0.0.1:20001"
"""
# Prints what comes over connections, one of which may be a probe, until it has some events.
READER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 20001))
peer = server.accept()[0]
received = b""
while received.count(b'"method"') < int(sys.argv[1]):
    some = peer.recv(65536)
    received += some
    if not some:
        peer = server.accept()[0]
print(received.decode())
"""

pytestmark = pytest.mark.timeout(2400)  # building takes minutes


class Machine:
    """A machine whose first process is systemd."""

    def __init__(self, root, pid):
        self.root = root
        self._enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]

    def run(self, *words, check=True):
        done = subprocess.run([*self._enter, *words], capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.stdout}{done.stderr}{self.run(*JOURNAL, check=False)}")
        return done.stdout.strip()

    def state(self):
        return self.run("systemctl", "is-active", "evframe", check=False)

    def owner(self, path):
        return self.run("stat", "-c", "%U:%G %a", path)


def remove_cgroup(path):
    """Remove a cgroup with those below it, and return whether none is left."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            return False
    return True


@contextmanager
def booted(root, log):
    (mounted,) = subprocess.run(
        ["findmnt", "-rn", "-t", "cgroup2", "-o", "TARGET", "--first-only"], capture_output=True, text=True, check=True
    ).stdout.split()
    cgroup = f"{mounted}/evframe-{os.getpid()}"
    with log.open("w") as output:
        try:
            with child(shutil.which("bash"), "-c", BOOT, "boot", cgroup, root, stdout=output, stderr=output) as process:
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                until(lambda: process.poll() is not None or children.read_text().split())
                assert process.poll() is None, log.read_text()
                machine = Machine(root, children.read_text().split()[0])
                up = {"running", "degraded"}
                until(
                    lambda: (
                        process.poll() is not None or machine.run("systemctl", "is-system-running", check=False) in up
                    ),
                    timeout_s=300,
                )
                assert process.poll() is None, log.read_text()
                yield machine
        finally:
            until(partial(remove_cgroup, cgroup))


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return the package, built for this machine."""
    return built(tmp_path_factory.mktemp("package"))


def built(folder, **options):
    subprocess.run(["bash", ROOT / ".ci" / "deb", folder], check=True, timeout=1200, **options)
    (path,) = folder.glob("*.deb")
    return path


def following(package, folder):
    """Return the package of the next revision."""
    tree = folder / "next"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True, timeout=120)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^(Version: .*-)1(?=~)", r"\g<1>2", control.read_text(), flags=re.MULTILINE))
    path = folder / "next.deb"
    subprocess.run(["dpkg-deb", "-Zgzip", "--build", tree, path], check=True, timeout=120, stdout=subprocess.DEVNULL)
    return path


def test_another_build_makes_the_same_package(package, tmp_path):
    """Neither the place, the file system, the umask, the time zone nor the number of processors is in the package."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        environment = {**os.environ, "TMPDIR": elsewhere, "TZ": "Asia/Kathmandu", "DPKG_DEB_THREADS_MAX": "2"}
        other = built(tmp_path, env=environment, umask=0o077)

    assert other.name == package.name
    assert other.read_bytes() == package.read_bytes()


def test_its_lists_of_files_are_true(package, tmp_path):
    """Each file that a library says it has is in the package, with its checksum."""
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True, timeout=120)
    (packages,) = (tmp_path / "usr" / "lib" / "evframe" / "lib").glob("python3.*/site-packages")

    listed = 0
    for record in packages.glob("*.dist-info/RECORD"):
        for name, checksum, _ in csv.reader(record.read_text().splitlines()):
            if checksum:
                digest = hashlib.sha256((packages / name).read_bytes()).digest()
                assert checksum == f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}", name
                listed += 1
    assert listed > 1000


def test_it_needs_the_libc_that_its_libraries_need(package, tmp_path):
    """The version of glibc is the newest one that a shared object names."""
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True, timeout=120)
    objects = [path for path in tmp_path.rglob("*.so*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"]
    named = {
        tuple(map(int, version.split(b".")))
        for path in objects
        for version in re.findall(rb"\0GLIBC_([0-9.]+)(?=\0)", path.read_bytes())
    }
    command = ["dpkg-deb", "-f", package, "Depends"]
    depends = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    assert f"libc6 (>= {'.'.join(map(str, max(named)))})" in depends


def test_lintian_finds_nothing(package):
    """The package is as Debian's policy wants it, but for what `lintian-overrides` gives a reason for."""
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", package]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_package_on_a_bare_debian(package, tmp_path):
    """It is installed, runs, is upgraded, removed and purged, by dpkg on a machine that has its dependencies alone."""
    root = tmp_path / "machine"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEPENDENCIES}", "bookworm", root]
    subprocess.run(command, check=True, timeout=600)
    shutil.copy(package, root / "opt" / "first.deb")
    shutil.copy(following(package, tmp_path), root / "opt" / "next.deb")

    # In a chroot, as images are made: without /proc, and without a systemd that runs.
    for words in (("-i", "/opt/first.deb"), ("-P", "evframe")):
        subprocess.run(["chroot", root, "dpkg", *words], check=True, timeout=120)

    with booted(root, tmp_path / "boot.log") as machine:
        is_installed(machine)
        is_upgraded(machine)
        is_removed(machine)


def is_installed(machine):
    machine.run("dpkg", "-i", "/opt/first.deb")
    assert machine.state() == "inactive"
    assert machine.run("systemctl", "is-enabled", "evframe", check=False) == "disabled"
    assert machine.owner("/etc/evframe/evframe.toml") == "root:evframe 640"
    assert machine.owner("/etc/evframe/conf.d") == "root:evframe 750"
    assert machine.owner("/var/lib/evframe") == "evframe:evframe 700"
    assert machine.owner("/var/log/evframe") == "evframe:evframe 755"
    plugins = json.loads(machine.run("runuser", "-u", "evframe", "--", "evframe", "plugins", "--json"))
    assert len(plugins) > 20
    assert [plugin for plugin in plugins if plugin["problem"]] == []
    assert machine.run("evframe", "check").endswith("ok")
    assert machine.run("sh", "-c", "ls /usr/lib/evframe/lib/python3.*/site-packages/evframe/__pycache__")


def is_upgraded(machine):
    root = machine.root
    machine.run("systemctl", "enable", "--now", "evframe")
    (root / "etc/evframe/conf.d/calls.toml").write_text(CONFIGURATION)
    machine.run("systemctl", "reload", "evframe")
    until(lambda: "E_CALL_ENDED" in machine.run("evframe", "events"))
    machine.run("evframe", "raise", "E_CALL_ENDED", "caller=alice")
    until(lambda: "E_CALL_ENDED,alice" in machine.run("cat", "/var/log/evframe/calls.log", check=False))
    assert machine.owner("/etc/evframe/evframe.toml") == "root:evframe 640"

    before = machine.run("systemctl", "show", "evframe", "--value", "--property=MainPID")
    machine.run("chmod", "700", "/etc/evframe/conf.d")
    machine.run("chown", "evframe", "/etc/evframe/conf.d")
    machine.run("dpkg", "-i", "/opt/next.deb")
    assert machine.owner("/etc/evframe/conf.d") == "evframe:evframe 700"  # an administrator's choice stays
    until(lambda: machine.state() == "active")
    assert machine.run("systemctl", "show", "evframe", "--value", "--property=MainPID") not in {before, "0"}
    assert (root / "etc/evframe/conf.d/calls.toml").read_text() == CONFIGURATION
    assert machine.run("dpkg-query", "-Wf", "${Version}", "evframe").partition("~")[0].endswith("-2")

    machine.run("systemctl", "stop", "evframe")
    machine.run("dpkg", "-i", "/opt/next.deb")
    assert machine.state() == "inactive"  # one that is stopped stays so
    machine.run("systemctl", "start", "evframe")
    machine.run("evframe", "raise", "E_CALL_ENDED", "caller=bob")


def is_removed(machine):
    root = machine.root
    machine.run("dpkg", "-r", "evframe")
    assert machine.state() == "inactive"
    assert not (root / "usr/lib/evframe").exists()
    assert (root / "etc/evframe/conf.d/calls.toml").read_text() == CONFIGURATION
    assert machine.run("cat", "/var/log/evframe/calls.log")

    machine.run("dpkg", "-i", "/opt/next.deb")
    assert (root / "etc/evframe/conf.d/calls.toml").read_text() == CONFIGURATION
    machine.run("systemctl", "start", "evframe")
    received = machine.run("timeout", "60", "python3", "-c", READER, "2")
    assert re.findall("alice|bob", received) == ["alice", "bob"]  # what waited, over an upgrade and a removal

    # One that cannot start leaves no failed service behind, either.
    machine.run("systemctl", "stop", "evframe")
    (root / "etc/evframe/conf.d/calls.toml").write_text("unknown = 1")
    machine.run("systemctl", "start", "evframe", check=False)
    assert machine.state() == "failed"
    machine.run("dpkg", "-P", "evframe")
    for folder in ("/etc/evframe", "/var/lib/evframe", "/var/log/evframe", "/usr/lib/evframe", "/run/evframe"):
        assert machine.run("sh", "-c", f"ls -d {folder} 2>&1 || true").endswith("No such file or directory")
    assert not list((root / "etc/systemd/system").rglob("evframe*"))
    assert machine.run("systemctl", "--failed", "--plain", "--no-legend") == ""

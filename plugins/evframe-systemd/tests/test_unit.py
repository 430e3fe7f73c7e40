"""The unit: systemd's own programs find no fault in it, and little that it could do to the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import evframe_systemd
import pytest

FOLDER = Path(evframe_systemd.__file__).parent
BIN = Path(sys.executable).parent
THRESHOLD = 30  # tenths: 3.0 of 10


def run(program, *words):
    path = shutil.which(program)
    if path is None:
        pytest.fail(f"{program} is needed, which the package systemd of Debian has: bash .ci/apt systemd")
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C"}
    return subprocess.run([path, *words], capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.fixture
def unit(tmp_path):
    """Return the unit, with the programs of this environment: systemd looks for them."""
    text = (FOLDER / "evframe.service").read_text()
    assert text.count("/opt/evframe/bin/evframe ") == 2
    path = tmp_path / "evframe.service"
    path.write_text(text.replace("/opt/evframe/bin/", f"{BIN}/"))
    return path


def test_systemd_finds_no_fault_in_the_unit(unit):
    """`systemd-analyze verify` has nothing to say about it: no unknown key, no program that is missing."""
    done = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert (done.returncode, [line for line in done.stderr.splitlines() if "evframe" in line]) == (0, [])


def test_systemd_finds_no_fault_in_the_sockets(unit):
    """Nor in the examples of sockets, whose service the unit is."""
    for socket in FOLDER.glob("*.socket"):
        path = unit.parent / socket.name
        path.write_text(socket.read_text())
        done = run("systemd-analyze", "verify", "--man=no", str(path), str(unit))
        assert (done.returncode, [line for line in done.stderr.splitlines() if "evframe" in line]) == (0, [])


def test_a_fault_in_the_unit_is_found(unit):
    """The test above sees a key that systemd does not know."""
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in run("systemd-analyze", "verify", "--man=no", str(unit)).stderr


def test_the_exposure_of_the_unit_is_low(unit):
    """`systemd-analyze security` rates it 3.0 or less, where 10 is no protection; without its sandbox it does not."""
    words = ("security", "--offline=true", f"--threshold={THRESHOLD}", "--no-pager")
    done = run("systemd-analyze", *words, str(unit))
    assert done.returncode == 0, done.stdout + done.stderr

    sandbox = ("Protect", "Private", "Restrict", "Capability", "SystemCall")
    lines = [line for line in unit.read_text().splitlines() if not line.startswith(sandbox)]
    unit.write_text("\n".join(lines))
    assert run("systemd-analyze", *words, str(unit)).returncode == 1


def test_the_user_of_the_unit_can_be_made(unit):
    """systemd-sysusers reads the file of the user, which is the user of the unit."""
    done = run("systemd-sysusers", "--dry-run", str(FOLDER / "evframe.sysusers"))
    assert (done.returncode, [line for line in done.stderr.splitlines() if "evframe.sysusers" in line]) == (0, [])
    (line,) = [line for line in (FOLDER / "evframe.sysusers").read_text().splitlines() if line[0] != "#"]
    kind, user = line.split()[:2]
    assert kind == "u"
    assert f"User={user}" in unit.read_text().splitlines()

"""The demonstration of the README."""

import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"


@pytest.mark.timeout(120)
def test_demonstration():
    """Every event reaches every subscriber; what it prints fits a terminal of 80 columns and one screen."""
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, timeout=100, check=False)
    lines = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert lines[-1] == "==> every event reached every subscriber"
    assert [line.split() for line in lines if "waits" in line] == [
        [str(number), "ok", "waits", "ok", "ok"] for number in (5, 6, 7, 8)
    ]
    assert "5, 6, 7, 8" in done.stdout
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80

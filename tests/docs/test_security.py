"""The page about security: what a gateway opens, and the settings and options that it names."""

import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from processes import child

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text()
UNIT = files("evframe_systemd") / "evframe.service"


def bound_sockets(pid):
    """Return the sockets of a process that others can reach: kind, and address in hexadecimal or path."""
    links = [link for link in map(os.readlink, Path(f"/proc/{pid}/fd").iterdir()) if link.startswith("socket:")]
    inodes = {link[8:-1] for link in links}
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        rows = [line.split() for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]]
        is_bound = [row for row in rows if row[9] in inodes and (row[3] == "0A" or kind.startswith("udp"))]
        found += [(kind, row[1].partition(":")[0]) for row in is_bound]
    rows = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    return found + [("unix", row[7]) for row in rows if row[6] in inodes and len(row) > 7]


def test_what_a_gateway_opens(tmp_path):
    """A gateway with every plugin, and no option but a port that is free, listens on one loopback address alone."""
    (tmp_path / "evframe.toml").write_text('[plugins.mi-http]\nbind = "127.0.0.1:0"\n')
    evframe = Path(sys.executable).parent / "evframe"
    with child(evframe, "run", "-c", tmp_path / "evframe.toml", stderr=subprocess.PIPE, text=True) as gateway:
        for line in gateway.stderr:
            if "the management interface listens" in line:
                break
        assert bound_sockets(gateway.pid) == [("tcp", "0100007F")]


def test_the_settings_of_the_unit():
    """Each setting that the page names is one of the unit."""
    section = PAGE[PAGE.index("\n## The unit") :]
    named = [text for text in re.findall(r"`([A-Z][A-Za-z]+=[^`]*)`", section) if not text.startswith("IPAddress")]

    assert len(named) >= 19
    assert [setting for setting in named if setting not in UNIT.read_text().splitlines()] == []


def test_the_options_of_the_page():
    """Each option that the page names is one of the configuration."""
    known = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    words = re.findall(r"`([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", PAGE)

    assert len(set(words)) >= 15
    assert [word for word in words if f"`{word}`" not in known] == []

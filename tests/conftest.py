"""What the tests of the core share."""

import pytest

import evframe
from evframe.testing import ANY_SCHEME, MemoryTransport


@pytest.fixture
def memory():
    """Return a transport that keeps what it is given."""
    return MemoryTransport()


@pytest.fixture
def events(memory):
    """Return an interface with that transport and two events."""
    events = evframe.EventInterface(ANY_SCHEME, plugins={"memory": memory})
    events.register_event("E_A")
    events.register_event("E_B")
    return events


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install plugins as packages would: `install(name="module:object")`, into another group with *group*."""

    def install(version="1.2.3", group="evframe", **entries):
        folder = tmp_path / "site"
        for name, target in entries.items():
            info = folder / f"evframe_{name}-{version}.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: evframe-{name}\nVersion: {version}\n")
            (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(folder)
        return folder

    return install


@pytest.fixture
def installed(install):
    """Have the transport in memory installed under the name `memory`."""
    install(memory="evframe.testing:MemoryTransport")

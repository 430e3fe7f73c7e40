"""A service that embeds evframe: what is installed opens nothing by itself."""

import os
import socket
from contextlib import suppress

import pytest

import evframe
from evframe.config import parse_config
from evframe.testing.transports import until


def listening():
    """Return the addresses at which this process listens or receives."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as each:
                    if each.getsockname():
                        found.add((each.family, each.getsockname()))
    return found


async def test_what_is_installed_opens_nothing(tmp_path, monkeypatch):
    """Neither a port nor a path nor a file: the example of the README, and one with a file for its configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    before, folder = listening(), tmp_path / "service.toml"
    folder.write_text('[[events]]\nname = "E_ORDER_PLACED"\n')
    for make in (evframe.EventInterface, lambda: evframe.EventInterface.from_toml("service.toml")):
        async with make() as events:
            events.register_event("E_ORDER_PLACED", params={"id": int, "customer": str})
            assert listening() == before
    assert [path.name for path in tmp_path.iterdir()] == ["service.toml"]


def test_what_is_installed_opens_nothing_on_a_thread():
    """Nor does an interface for services without a loop."""
    before = listening()
    with evframe.start_in_thread():
        assert {address for family, address in listening() - before if family != socket.AF_UNIX} == set()


async def test_two_services_start_side_by_side():
    """A second service on the machine starts while the first one works."""
    async with evframe.EventInterface(), evframe.EventInterface() as second:
        assert second.is_running


async def test_a_table_opens_an_interface(tmp_path):
    """An empty table is enough, and a reload that brings one opens it, and closes it when it goes."""
    path = tmp_path / "mi.sock"
    table = f'[plugins.mi-http]\nbind = "unix:{path}"\n'
    async with evframe.EventInterface(parse_config("")) as events:
        assert not path.exists()
        assert events.reload(parse_config(table)).plugins == ["mi-http"]
        assert path.exists()
        assert events.reload(parse_config("")).plugins == ["mi-http"]
        await until(lambda: not path.exists())


async def test_a_table_that_cannot_be_opened_refuses_a_reload(tmp_path):
    """An address in use refuses the reload that brings it, and nothing has changed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        table = f'[plugins.mi-http]\nbind = "127.0.0.1:{taken.getsockname()[1]}"\n'
        async with evframe.EventInterface(parse_config("")) as events:
            with pytest.raises(evframe.ConfigError, match="plugins.mi-http.bind"):
                events.reload(parse_config(table))
            assert events.plugin("mi-http").address is None


async def test_the_gateway_keeps_its_default(monkeypatch):
    """The gateway opens the interface over HTTP without a table."""
    bound = []
    monkeypatch.setattr(socket.socket, "bind", lambda _, address: bound.append(address))
    with suppress(OSError):
        async with evframe.EventInterface(gateway=True):
            pass
    assert ("127.0.0.1", 8888) in bound

"""Other options while the interface works, and problems of the start."""

import asyncio
import re
import socket

import pytest
from brokers.own import free_port
from evframe_web import Options, Web
from stream_servers import connection_to

import evframe
from evframe.testing import ConfigFile, until


@pytest.fixture
def config(tmp_path):
    return ConfigFile(tmp_path / "evframe.toml", "mi", "web")


def table(text=""):
    return f"[plugins.web]\n{text}\n"


async def test_a_reload_moves_the_page(config, asking):
    """The page is at the other port at once, what looked at events ends, and the port before is closed."""
    async with config.interface(table('bind = "127.0.0.1:0"')) as events:
        each = asking(events)
        before = each.web.address
        assert (await each.get("/api/session"))[0] == 200
        async with connection_to(before) as (reader, writer):
            writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"event: open")
            port = free_port()
            config.write(table(f'bind = "127.0.0.1:{port}"\ntitle = "moved"'))
            events.reload()
            assert each.web.address == ("127.0.0.1", port)
            assert (await each.get("/api/session"))[1]["title"] == "moved"
            assert b"0\r\n\r\n" in await reader.read()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*before)


async def test_a_reload_with_a_token_ends_what_was_allowed_before(config, asking):
    """A page that looks without the token gets no more events."""
    text = 'bind = "127.0.0.1:0"'
    async with config.interface(table(text)) as events:
        each = asking(events)
        async with connection_to(each.web.address) as (reader, writer):
            writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"event: open")
            config.write(table(text + '\ntoken = "right"'))
            events.reload()
            await until(lambda: not len(each.web._desk.viewers))
        assert (await each.get("/api/state"))[0] == 401
        assert (await each.get("/api/state", "right"))[0] == 200


async def test_a_reload_that_is_refused_changes_nothing(config, asking):
    """With an address in use, or another plugin's problem, the page stays where it was, with its rules."""
    async with config.interface(table('bind = "127.0.0.1:0"')) as events:
        each = asking(events)
        before = each.web.address
        with socket.create_server(("127.0.0.1", 0)) as other:
            config.write(table(f'bind = "127.0.0.1:{other.getsockname()[1]}"'))
            with pytest.raises(evframe.ConfigError, match=r"plugins\.web\.bind: .* Address already in use"):
                events.reload()
        take_back = each.web.reconfigure(Options(bind="127.0.0.2:0", token="right"))
        assert each.web.address != before
        take_back()
        await asyncio.sleep(0)
        assert each.web.address == before
        assert (await each.get("/api/state"))[0] == 200


async def test_nothing_is_opened_without_the_table(tmp_path):
    """A plugin that is merely installed opens nothing, in a gateway neither."""
    config = ConfigFile(tmp_path / "evframe.toml", "mi", "web")
    config.write()
    for gateway in (False, True):
        async with evframe.EventInterface.from_toml(config.path, gateway=gateway) as events:
            assert events.plugin("web").address is None
            assert events.plugin("web").statistics() == []


async def test_an_address_in_use_is_an_error_of_the_start(config):
    """The error names the option."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        events = config.interface(table(f'bind = "127.0.0.1:{other.getsockname()[1]}"'))
        with pytest.raises(OSError, match=r"plugins\.web\.bind: '127\.0\.0\.1:\d+': Address already in use"):
            async with events:
                pass


async def test_the_plugin_of_the_commands_is_needed():
    """Without `mi`, there is no policy by which the page could act."""
    events = evframe.EventInterface(plugins={"web": Web(Options(bind="127.0.0.1:0"))})
    with pytest.raises(evframe.ConfigError, match=re.escape("expected the plugin 'mi', which is not loaded")):
        async with events:
            pass


def test_options_that_do_not_fit_are_found_by_a_check(tmp_path):
    """`evframe check` names the option and the line."""
    from click.testing import CliRunner

    from evframe.cli import main

    path = tmp_path / "evframe.toml"
    path.write_text('[plugins.web]\nbind = "0.0.0.0:9465"\nevents_per_s = 0\n')
    done = CliRunner().invoke(main, ["check", "--config", str(path)])
    assert done.exit_code != 0
    for option in (
        "bind: expected a loopback address where there is neither token_file nor token",
        "events_per_s: expected",
    ):
        assert f"plugins.web.{option}" in done.output

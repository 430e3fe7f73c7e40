"""Looking host names up beside the loop."""

import asyncio
import socket
import threading

import pytest
from evframe_client.lookups import look_up

FOUND = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("192.0.2.1", 9))]


@pytest.fixture
def names(monkeypatch):
    """Have names take until `over` is set; return what was looked up, and `over`."""
    over, lookups = threading.Event(), []
    numeric = socket.getaddrinfo

    def slow(host, *arguments, flags=0, **options):
        if flags:
            return numeric(host, *arguments, flags=flags, **options)
        lookups.append(threading.current_thread().daemon)
        assert over.wait(20)
        if host == "broken":
            raise ZeroDivisionError
        return FOUND

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    yield lookups, over
    over.set()


async def test_lookups_are_shared(names):
    """A lookup that hangs has one thread, however often it is given up and wanted again, and none of the loop's."""
    lookups, over = names
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await look_up("gw", 9, socket.SOCK_DGRAM)
    over.set()
    assert await look_up("gw", 9, socket.SOCK_DGRAM) == FOUND
    assert lookups[0] is True
    assert len(lookups) <= 2, "the last one may have come after the end of the first"


async def test_errors_of_a_lookup(names):
    """An error of the system's library is raised, whatever it is."""
    names[1].set()
    with pytest.raises(ZeroDivisionError):
        await look_up("broken", 9, socket.SOCK_DGRAM)


async def test_addresses_need_no_thread(names):
    """An address is taken as it is, in brackets too."""
    (found, *_) = await look_up("[::1]", 9, socket.SOCK_DGRAM)
    assert found[4][:2] == ("::1", 9)
    assert names[0] == []

"""The proxy of the tests that misbehaves."""

import asyncio
import gc
import socket
import warnings
from contextlib import suppress

import pytest
from brokers.proxy import FaultProxy


def has_ended(client):
    with suppress(ConnectionResetError):
        return client.recv(1) == b""
    return True


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_comes_as_the_proxy_ends_is_closed(turns):
    """Whatever turn of the loop the end is in, a connection that was accepted is closed, and not left to the collector."""
    with socket.create_server(("127.0.0.1", 0)) as target, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        async with FaultProxy(target.getsockname()[1]) as proxy:
            client = socket.create_connection(("127.0.0.1", proxy.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        with client:
            client.settimeout(20)
            assert await asyncio.to_thread(has_ended, client)
        gc.collect()
    assert [str(each.message) for each in caught] == []

"""The server of streams that other tests use."""

import asyncio
import gc
import socket

import pytest
from stream_servers import StreamServer


async def silent(server):
    """Return both ends of a connection on which nothing is said."""
    accepted = server.accepted
    ends = await asyncio.open_connection(server.host, server.port)
    while server.accepted == accepted:
        await asyncio.sleep(0)
    return ends


async def test_what_ends_by_itself_leaves_nothing():
    """A peer that goes without a word, and a handler that waits for ever, leave no connection to the collector."""

    async def wait(reader, _):
        await reader.readexactly(8)
        await asyncio.Event().wait()

    async with StreamServer(wait) as server:
        _, gone = await silent(server)
        _, stays = await silent(server)
        stays.write(b"12345678")
        gone.close()
        await gone.wait_closed()
    assert not server.writers
    stays.close()
    gc.collect()  # an end that is open is a warning here, which fails the test


async def test_a_peer_that_reads_nothing_does_not_hold_the_end_up():
    """What is left for it is dropped."""

    async def write(_, writer):
        writer.write(bytes(20_000_000))
        await writer.drain()

    async with StreamServer(write) as server:
        _, client = await silent(server)
    assert not server.writers
    client.close()


async def test_the_peers_end_their_connections():
    """It takes none any more while it waits for that."""
    async with StreamServer() as server:
        _, client = await silent(server)
        server.refuse()
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection(server.host, server.port)
        with pytest.raises(TimeoutError):
            await server.ended(0.01)
        client.close()
        await server.ended()
        await server.open()
        _, client = await silent(server)
        server.reset()
        await server.ended()
        client.close()


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_is_accepted_as_the_server_ends(turns):
    """Whatever turn of the loop the end comes in, nothing is left to the collector."""
    async with StreamServer() as server:
        with socket.create_connection((server.host, server.port)):
            for _ in range(turns):
                await asyncio.sleep(0)
            server.refuse()
            await server.close()
    assert not server.writers
    gc.collect()


async def test_connections_that_wait_to_be_accepted_are_waited_for():
    """What a peer has sent before it ended its connection is read, though the loop has had no turn yet."""
    read = []

    async def keep(reader, _):
        read.append(await reader.read())

    async with StreamServer(keep) as server:
        for number in range(3):
            with socket.create_connection((server.host, server.port)) as client:
                client.sendall(b"%d" % number)
        await server.ended()
    assert read == [b"0", b"1", b"2"]


async def test_a_handler_that_fails_fails_the_test():
    """Its exception comes at the end."""

    async def fail(*_):
        raise AssertionError("not what was expected")

    server = StreamServer(fail)
    await server.open()
    _, client = await silent(server)
    client.close()
    await server.ended()
    with pytest.raises(AssertionError, match="not what was expected"):
        await server.close()

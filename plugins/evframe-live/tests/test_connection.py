"""How long a client may take nothing."""

import asyncio
from contextlib import suppress

import pytest
from evframe_live import Connection
from stream_servers import StreamServer, connection_to

from evframe.testing import until


@pytest.mark.parametrize("cause", [None, TimeoutError(110, "timed out")])
async def test_connection_that_the_kernel_ends(cause):
    """It is lost, whatever error the library has; a client that has taken nothing is a slow one."""
    async with StreamServer() as server, connection_to((server.host, server.port)):
        await until(lambda: server.writers)
        (writer,) = server.writers

        async def drain():
            raise cause or ConnectionError("Connection lost")

        connection = Connection(writer.transport, drain, 60.0)
        assert not await connection.drained()
        assert connection.is_slow is (cause is not None)


async def test_a_client_that_takes_something_stays():
    """It is not cut while more is written than it takes; one that takes nothing is."""

    async def serve(reader, _):
        with suppress(TimeoutError):  # by the kernel
            await reader.read()

    async with StreamServer(serve) as server, connection_to((server.host, server.port), limit=1 << 14) as (reader, _):
        await until(lambda: server.writers)
        (writer,) = server.writers
        connection = Connection(writer.transport, writer.drain, 0.6)
        total = 8_000_000
        connection.write(bytes(total // 8))
        drained = asyncio.ensure_future(connection.drained())
        await asyncio.sleep(0)
        connection.write(bytes(total - total // 8))
        async with asyncio.timeout(20):
            while not drained.done():
                await reader.read(1 << 14)
                await asyncio.sleep(0.005)
        assert await drained
        assert not connection.is_slow
        connection.write(bytes(total))
        assert not await connection.drained()
        assert connection.is_slow

"""A server of streams for the tests, which leaves nothing open."""

import asyncio
import contextlib


class StreamServer:
    """Hands each connection to *handle*, with its reader and its writer, and closes it after that.

    A handler ends, like one that returns, when the connection does; every other exception of it is raised by `close`.

    Args:
        handle: a coroutine function; None for a server that takes connections and does nothing with them.
        host: the address to listen at.
        port: the port; 0 for one that is free.
        options: go to `asyncio.start_server`.
    """

    def __init__(self, handle=None, host="127.0.0.1", port=0, **options):
        self.handle = handle
        self.host = host
        self.port = port
        self.options = options
        self.writers = {}
        """The writers of the connections that are open; their tasks by them."""
        self.accepted = 0
        """How many connections there have been."""
        self._server = None
        self._failures = []

    async def open(self):
        """Listen, at the same port as before if it has listened already."""
        place = {} if "sock" in self.options else {"host": self.host, "port": self.port}
        self._server = await asyncio.start_server(self._serve, **place, **self.options)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self):
        """Take no connection any more; those that are open stay."""
        if self._server is not None:
            self._server.close()

    def reset(self):
        """End the connections that are open at once."""
        for writer in self.writers:
            writer.transport.abort()

    async def ended(self, limit_s=20.0):
        """Return when the peers have ended all connections, at the latest after *limit_s* seconds."""
        async with asyncio.timeout(limit_s):
            while self.writers:
                await asyncio.wait(list(self.writers.values()))

    async def close(self):
        """Take no connection any more, and end those that are open."""
        self.refuse()
        for _ in range(3):  # a connection that has just been accepted has its handler after as many turns
            await asyncio.sleep(0)
        for writer, task in self.writers.items():
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # a peer that reads nothing would hold it open
            task.cancel()
        await self.ended()
        if self._failures:
            raise self._failures[0]

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def _serve(self, reader, writer):
        self.accepted += 1
        self.writers[writer] = asyncio.current_task()
        try:
            if self.handle is None:
                await reader.read()
            else:
                await self.handle(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as failure:
            self._failures.append(failure)
        finally:
            writer.transport.abort() if self.options.get("ssl") else writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            del self.writers[writer]

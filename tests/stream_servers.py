"""Streams for the tests, a server and connections, which leave nothing open."""

import asyncio
import contextlib
import socket


class StreamServer:
    """Hands each connection to *handle*, with its reader and its writer, and closes it after that.

    A handler ends, like one that returns, when the connection does; every other exception of it is raised by `close`.

    Args:
        handle: a coroutine function; None for a server that takes connections and does nothing with them.
        host: the address to listen at.
        port: the port; 0 for one that is free.
        ssl: the context of TLS; None for connections without.
        sock: a socket that is bound, to listen with in place of *host* and *port*.
    """

    def __init__(self, handle=None, host="127.0.0.1", port=0, *, ssl=None, sock=None):
        self.handle = handle
        self.host = host
        self.port = port
        self.ssl = ssl
        self.writers = {}
        """The writers of the connections that are open; their tasks by them."""
        self.accepted = 0
        """How many connections there have been."""
        self._bound = sock
        self._listener = None
        self._tasks = set()
        self._failures = []

    async def open(self):
        """Listen, at the same port as before if it has listened already."""
        # No server of asyncio: one that is closed as it accepts leaves the connection open until it is collected.
        self._listener = self._bound or socket.create_server((self.host, self.port), backlog=100)
        self._listener.listen(100)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def refuse(self):
        """Take no connection any more; those that are open stay."""
        if self._is_listening:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    def reset(self):
        """End the connections that are open at once."""
        for writer in self.writers:
            writer.transport.abort()

    async def ended(self, limit_s=20.0):
        """Return when the peers have ended all connections, at the latest after *limit_s* seconds."""
        if self._is_listening:
            self._accept()
        async with asyncio.timeout(limit_s):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def close(self):
        """Take no connection any more, and end those that are open."""
        self.refuse()
        await asyncio.sleep(0)  # a task that is cancelled before it begins would leave its connection open
        for writer in self.writers:
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # a peer that reads nothing would hold it open
        for task in self._tasks:
            task.cancel()
        await self.ended()
        if self._failures:
            raise self._failures[0]

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        await self.close()

    @property
    def _is_listening(self):
        return self._listener is not None and self._listener.fileno() != -1

    def _accept(self):
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                accepted, _ = self._listener.accept()
                task = asyncio.get_running_loop().create_task(self._serve(accepted))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _serve(self, accepted):
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=self.ssl)
        except (OSError, asyncio.CancelledError):  # as of a handshake that fails
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
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
            writer.transport.abort() if self.ssl else writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            del self.writers[writer]


@contextlib.asynccontextmanager
async def connection_to(address, **options):
    """Yield the reader and the writer of a connection, which is closed after that.

    Args:
        address: a host and a port, or the path of a UNIX socket.
        options: go to `asyncio.open_connection`.
    """
    if isinstance(address, str):
        reader, writer = await asyncio.open_unix_connection(address, **options)
    else:
        reader, writer = await asyncio.open_connection(*address, **options)
    try:
        yield reader, writer
    finally:
        if options.get("ssl") or writer.transport.get_write_buffer_size():
            writer.transport.abort()  # a peer that reads nothing would hold it open
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

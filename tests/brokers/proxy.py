"""A TCP proxy that misbehaves as it is told."""

import asyncio
import socket


class FaultProxy:
    """Forwards to a port; can refuse, hold everything back, delay, reset, and cut or hold after so many bytes."""

    def __init__(self, target, port=0, host="127.0.0.1"):
        self.target = target
        self.port = port
        self.host = host
        self.connections = 0
        self.cut_after = None  # bytes from the client, then both ends are reset
        self.hold_after = None  # bytes from the client, then everything is held back
        self.sent = 0  # bytes from clients
        self.delay_s = 0.0
        self.flows = asyncio.Event()
        self.flows.set()
        self.answers = asyncio.Event()
        self.answers.set()
        self._writers = set()
        self._clients = set()
        self._tasks = set()

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        self.refuse()
        await asyncio.sleep(0)  # a task that is cancelled before it begins would leave its connection open
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self):
        """Accept connections, at the same port as before."""
        # No server of asyncio: one that is closed as it accepts leaves the connection open until it is collected.
        self._listener = socket.create_server((self.host, self.port), backlog=100)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def refuse(self):
        """Accept no more."""
        if self._listener.fileno() != -1:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    def reset(self):
        """End every connection with a reset."""
        for writer in list(self._writers):
            writer.transport.abort()

    def inject(self, data):
        """Send *data* to every client, as if the target had."""
        for writer in self._clients:
            writer.write(data)

    def hold(self):
        """Forward nothing, as a black hole."""
        self.flows.clear()

    def hold_back(self):
        """Forward to the target, but nothing from it."""
        self.answers.clear()

    def release(self):
        """Forward again."""
        self.flows.set()
        self.answers.set()

    def _accept(self):
        try:
            accepted, _ = self._listener.accept()
        except BlockingIOError:  # whoever connected has gone
            return
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, accepted):
        writers = []

        async def connect(*place, **options):
            reader, writer = await asyncio.open_connection(*place, **options)
            writers.append(writer)
            self._writers.add(writer)
            return reader, writer

        try:
            reader, writer = await connect(sock=accepted)
            self._clients.add(writer)
            there, back = await connect("127.0.0.1", self.target)
            await asyncio.gather(self._pump(reader, back, counts=True), self._pump(there, writer, counts=False))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in writers:
                self._writers.discard(each)
                self._clients.discard(each)
                each.transport.abort()

    async def _pump(self, reader, writer, *, counts):
        while data := await reader.read(65536):
            if counts:
                self.sent += len(data)
                if self.hold_after is not None and self.sent >= self.hold_after:
                    self.hold_after = None
                    self.hold()
            await self.flows.wait()
            if not counts:
                await self.answers.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if counts and self.cut_after is not None:
                self.cut_after -= len(data)
                if self.cut_after <= 0:
                    writer.write(data[: len(data) // 2])
                    self.cut_after = None
                    raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

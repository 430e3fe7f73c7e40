"""A web server that receives webhooks: in this process, or in another one that can be killed and stopped.

As a program it appends the number of each event to a file before it answers, and prints nothing.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time

from aiohttp import web


class Server:
    """Keeps the requests, and answers each as `answer` says: a function of the request and its body."""

    def __init__(self, answer=None, port=0, tls=None):
        self.requests = []
        self.answer = answer or (lambda request, body: web.Response(status=204))
        self._port, self._tls = port, tls

    async def __aenter__(self):
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    @property
    def bodies(self):
        return [body for _, body in self.requests]

    async def _handle(self, request):
        body = await request.read()
        self.requests.append((request, body))
        answer = self.answer(request, body)
        return await answer if asyncio.iscoroutine(answer) else answer


class Process:
    """The server as a process, which `brokers.load.BrokerFaults` stops, kills and suspends."""

    def __init__(self, path):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self._path = path
        self._process = None

    def start(self):
        self._process = subprocess.Popen([sys.executable, __file__, str(self.port), str(self._path)])
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise TimeoutError

    def stop(self, number=signal.SIGTERM):
        self._process.send_signal(number)
        self._process.wait(30)

    def signal(self, number):
        self._process.send_signal(number)

    @property
    def numbers(self):
        return [int(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []


async def serve(port, path):
    with open(path, "ab", buffering=0) as file:

        async def handle(request):
            os.write(file.fileno(), b"%d\n" % json.loads(await request.read())["params"][0])
            return web.Response(status=204)

        runner = web.ServerRunner(web.Server(handle), handle_signals=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))

"""The RabbitMQ of the demonstration: one that it starts, or a way to one that runs, which it cuts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import aio_pika

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_LIMIT_S = 90
_LOOK_LIMIT_S = 10


def free_port() -> int:
    """Return a port that no process has, and that the kernel gives to no connection while its server is away."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 a port, not a secret
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def depth_of(queue: str, address: str) -> str:
    """Return what is in a queue, as text for people."""
    async with asyncio.timeout(_LOOK_LIMIT_S), await aio_pika.connect(f"amqp://guest:guest@{address}/") as connection:
        found = (await (await connection.channel()).declare_queue(queue, passive=True)).declaration_result
        return f"{found.message_count} messages wait in the queue, which has {found.consumer_count} consumers"


class OwnBroker:
    """A RabbitMQ in another folder; it keeps durable queues over `stop` and `start`."""

    gone, back = "the broker is stopped", "the broker is started again"
    queue = "shop-events"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="evframe-demo-"))
        self.port = free_port()
        self._node = f"evframe-demo-{self.port}@localhost"
        self._epmd_port = free_port()
        (self._folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n")
        (self._folder / "plugins").write_text("[].")
        self._output = (self._folder / "output").open("w")
        # Erlang's name server, which would outlive a broker that starts one for itself.
        self._names = subprocess.Popen(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Host and port for everybody."""
        return f"127.0.0.1:{self.port}"

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self._folder),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        """Start it, and wait until it speaks AMQP."""
        self._server = subprocess.Popen(
            [SERVER], env=self._environment, stdout=self._output, stderr=self._output, start_new_session=True
        )
        until = time.monotonic() + _START_LIMIT_S
        while not self._speaks():
            if self._server.poll() is not None or time.monotonic() > until:
                raise RuntimeError((self._folder / "output").read_text())
            time.sleep(0.1)

    def _speaks(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(2)
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(probe.recv(1))
        return False

    def depth(self) -> str:
        """Return how many messages wait in the queue."""
        return asyncio.run(depth_of(self.queue, self.address))

    def stop(self) -> None:
        """End it as a service manager does."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def remove(self) -> None:
        """End everything, and leave nothing."""
        self.stop()
        self._names.terminate()
        self._names.wait()
        self._output.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class WayToBroker:
    """A port that leads to a RabbitMQ which somebody else runs; `stop` cuts the way, the broker continues.

    Args:
        broker: its host and port, with a colon between.

    Raises:
        OSError: if no broker answers.
        ValueError: if it is no such text.
    """

    gone, back = "the way to the broker is cut", "the way to the broker is open again"

    def __init__(self, broker: str) -> None:
        self.address = broker
        host, _, port = broker.rpartition(":")
        self._broker = host, int(port)
        socket.create_connection(self._broker, 5).close()
        self.port = free_port()
        self.queue = f"shop-events-{self.port}"
        self._ends: list[socket.socket] = []

    def start(self) -> None:
        """Open the way."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._broker, 10)
                far.settimeout(None)
                self._ends += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def depth(self) -> str:
        """Return how many messages wait in the queue."""
        return asyncio.run(depth_of(self.queue, self.address))

    def stop(self) -> None:
        """Cut it."""
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def remove(self) -> None:
        """Cut it for good, and leave no queue behind."""
        self.stop()
        asyncio.run(self._delete_queue())

    async def _delete_queue(self) -> None:
        async with await aio_pika.connect(f"amqp://guest:guest@{self.address}/", timeout=10) as connection:
            channel = await connection.channel()
            await channel.queue_delete(self.queue)

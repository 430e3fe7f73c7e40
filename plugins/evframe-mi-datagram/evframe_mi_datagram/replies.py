"""Replies on their way to clients, some of whom do not read."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from evframe_mi.traffic import Traffic
from evframe_wire.addresses import connection_problem

Address = Any
_MOST_WAITING: Final = 256  # replies of all clients together
_FIRST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.05


class Replies:
    """Sends replies in order; one that a client has no room for waits, and delays no other client.

    Args:
        kernel: the socket that requests come to.
        spawn: runs a task.
        traffic: counts the outcomes of replies.
        timeout_s: how long a reply waits.
    """

    def __init__(
        self,
        kernel: socket.socket,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        traffic: Traffic,
        timeout_s: float,
    ) -> None:
        self._kernel = kernel
        self._spawn = spawn
        self._traffic = traffic
        self.timeout_s = timeout_s
        """How long a reply waits, from now on."""
        self._waiting: dict[Address, deque[bytes]] = {}
        self._count = 0

    @property
    def waiting(self) -> int:
        """How many replies wait."""
        return self._count

    def send(self, reply: bytes, address: Address) -> None:
        """Send *reply*, at once if the client has room."""
        queue = self._waiting.get(address)
        if queue is None:
            if self._try(reply, address):
                return
            if self._count < _MOST_WAITING:
                queue = self._waiting[address] = deque()
                self._spawn(self._wait(address, queue))
        if queue is None or self._count >= _MOST_WAITING:
            self._lose(1, address, "no_room")
            return
        queue.append(reply)
        self._count += 1

    def _try(self, reply: bytes, address: Address) -> bool:
        """Send *reply*, or find that no client reads it; False if it has to wait."""
        try:
            self._kernel.sendto(reply, address)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return False
            self._lose(1, address, connection_problem(error))
        else:
            self._traffic.count("replies")
        return True

    async def _wait(self, address: Address, queue: deque[bytes]) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.timeout_s
        pause = _FIRST_PAUSE_S
        try:
            while queue and loop.time() < until:
                if self._try(queue[0], address):
                    queue.popleft()
                    self._count -= 1
                    until = loop.time() + self.timeout_s
                    pause = _FIRST_PAUSE_S
                else:
                    # No notification comes when another socket's queue has room again.
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE_S)
        finally:
            del self._waiting[address]
            self._count -= len(queue)
            if queue:
                self._lose(len(queue), address, "timeout")

    def _lose(self, number: int, address: Address, reason: str) -> None:
        self._traffic.count("lost", number)
        self._traffic.warn("a reply is lost", client=str(address), reason=reason)

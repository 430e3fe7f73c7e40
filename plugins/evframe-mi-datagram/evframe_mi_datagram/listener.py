"""One address that datagrams come to: bound at once, and left when what came there is answered."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from evframe_mi.traffic import Traffic
from evframe_wire.bound import BoundAddress
from evframe_wire.drops import DropCounter
from evframe_wire.endpoints import Access

from evframe_mi_datagram.options import Options, parse_name
from evframe_mi_datagram.replies import Replies

_AT_ONCE: Final = 256  # requests before the loop serves others: each turn of the loop may answer those of one client
_BYTES_AT_ONCE: Final = 65_536  # of these
_LAST: Final = 4096  # requests that an address which is left may still have
_LOOK_EVERY_S: Final = 0.05
_MOST_OF_ONE: Final = 1024  # requests of one client that wait
_MOST_BYTES: Final = 16 << 20  # requests of all clients that wait
_OVERHEAD_BYTES: Final = 2048  # what a request that waits takes beside its text


class Listener:
    """A bound address.

    Args:
        name: where, as the option ``socket_name``.
        options: all the others.
        answer: returns the future of the response to a request of a client, which may be None.
        printed: returns a response as it is sent.
        spawn: runs a task.
        traffic: counts the outcomes of replies.
        before: the listener that it takes the place of.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(  # noqa: PLR0913 what it is made of
        self,
        name: str,
        options: Options,
        answer: Callable[[bytes, object], asyncio.Future[bytes | None]],
        printed: Callable[[bytes], bytes],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[Any]],
        *,
        traffic: Traffic,
        before: Listener | None = None,
    ) -> None:
        self._answer = answer
        self._printed = printed
        self._open: Counter[object] = Counter()  # requests without their response, by client
        self._open_bytes = 0
        self._is_paused = False
        self._spawn = spawn
        self._traffic = traffic
        self._most_bytes = options.socket_buf_size
        beside = None if before is None else before.bound
        try:
            self.bound: BoundAddress = BoundAddress(socket.SOCK_DGRAM, parse_name(name), _access(options), beside)
        except OSError as error:
            raise OSError(error.errno, f"plugins.mi-datagram.socket_name: {name!r}: {error.strerror}") from None
        self._drops = DropCounter(self.bound.socket)
        self._replies = Replies(self.bound.socket, spawn, traffic, options.socket_timeout_ms / 1000)

    def is_at(self, options: Options) -> bool:
        """See `evframe_mi.server.Listener`."""
        return options.socket_name is not None and self.bound.is_at(parse_name(options.socket_name))

    def adopt(self, options: Options) -> None:
        """See `evframe_mi.server.Listener`."""
        self.bound.give(_access(options))
        self._most_bytes = options.socket_buf_size
        self._replies.timeout_s = options.socket_timeout_ms / 1000

    def listen(self) -> None:
        """Answer what comes."""
        asyncio.get_running_loop().add_reader(self.bound.socket, self._receive, _AT_ONCE)

    def _receive(self, most: int, most_bytes: int = _BYTES_AT_ONCE) -> None:
        for _ in range(most):
            try:
                request, ancillary, _, client = self.bound.socket.recvmsg(self._most_bytes, DropCounter.SPACE)
            except BlockingIOError:
                return
            except OSError as error:
                self._traffic.warn("a datagram cannot be received", problem=str(error))
                return
            dropped = self._drops.take(ancillary)
            if dropped:
                self._traffic.count("dropped", dropped)
                self._traffic.warn("the kernel had no room for requests", dropped=self._traffic.counts["dropped"])
            if request:
                self._take(request, client or None)
            if self._open_bytes > _MOST_BYTES:
                self._pause()
                return
            most_bytes -= len(request)
            if most_bytes <= 0:
                return

    def _take(self, request: bytes, client: Any) -> None:
        if self._open[client] >= _MOST_OF_ONE:
            self._traffic.count("lost")
            self._traffic.warn("a request is lost", client=str(client), reason="too many wait")
            return
        size = len(request) + _OVERHEAD_BYTES
        self._open[client] += 1
        self._open_bytes += size
        self._answer(request, client).add_done_callback(partial(self._answered, client, size))

    def _answered(self, client: Any, size: int, response: asyncio.Future[bytes | None]) -> None:
        self._open_bytes -= size
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]
        text = None if response.cancelled() else response.result()
        if text is not None and client is not None:  # a UNIX client without a name cannot be answered
            self._replies.send(self._printed(text), client)
        if self._is_paused and self._open_bytes <= _MOST_BYTES // 2:
            self._is_paused = False
            self.listen()

    def _pause(self) -> None:
        """Leave what comes to the kernel while too much waits."""
        self._is_paused = True
        asyncio.get_running_loop().remove_reader(self.bound.socket)

    def leave(self) -> None:
        """Close the address, once what has come there already is answered."""
        asyncio.get_running_loop().remove_reader(self.bound.socket)
        self.bound.remove_path()
        self._receive(_LAST, sys.maxsize)
        self._is_paused = False
        if self._is_busy:
            # It may be cancelled before it has begun.
            self._spawn(self._end()).add_done_callback(lambda _: self.close())
        else:
            self.close()

    @property
    def _is_busy(self) -> bool:
        return bool(self._open or self._replies.waiting)

    async def _end(self) -> None:
        while self._is_busy:  # noqa: ASYNC110 each of them has its own end
            await asyncio.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        """Close the address; more than once does no harm."""
        self._is_paused = False
        if self.bound.socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.bound.socket)
            self.bound.close()


def _access(options: Options) -> Access:
    return Access.of(options.unix_socket_mode, options.unix_socket_user, options.unix_socket_group)

"""One address that datagrams come to: bound at once, and left when what came there is answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

from evframe.bound import BoundAddress
from evframe.drops import DropCounter
from evframe.endpoints import Access
from evframe.management.traffic import Traffic
from evframe_mi_datagram.options import Options, parse_name
from evframe_mi_datagram.replies import Replies

_AT_ONCE: Final = 16  # requests before the loop serves others
_LAST: Final = 4096  # requests that an address which is left may still have
_LOOK_EVERY_S: Final = 0.05


class Listener:
    """A bound address.

    Args:
        name: where, as the option ``socket_name``.
        options: all the others.
        answer: returns the reply to a request, or None.
        spawn: runs a task.
        traffic: counts what becomes of replies.
        before: the listener that it takes the place of.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(  # noqa: PLR0913 what it is made of
        self,
        name: str,
        options: Options,
        answer: Callable[[bytes], bytes | None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[Any]],
        traffic: Traffic,
        *,
        before: Listener | None = None,
    ) -> None:
        self._answer = answer
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

    def adopt(self, options: Options) -> None:
        """Go on at the same address with other options.

        Raises:
            OSError: if a path cannot be given to those who may use it now.
        """
        self.bound.give(_access(options))
        self._most_bytes = options.socket_buf_size
        self._replies.timeout_s = options.socket_timeout_ms / 1000

    def listen(self) -> None:
        """Answer what comes."""
        asyncio.get_running_loop().add_reader(self.bound.socket, self._receive, _AT_ONCE)

    def _receive(self, most: int) -> None:
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
            reply = self._answer(request) if request else None
            if reply is not None and client:  # a UNIX client without a name cannot be answered
                self._replies.send(reply, client)

    def leave(self) -> None:
        """Let the address go, once what has come there already is answered."""
        asyncio.get_running_loop().remove_reader(self.bound.socket)
        self.bound.remove_path()
        self._receive(_LAST)
        if self._replies.waiting:
            # It may be cancelled before it has begun.
            self._spawn(self._end()).add_done_callback(lambda _: self.close())
        else:
            self.close()

    async def _end(self) -> None:
        while self._replies.waiting:  # noqa: ASYNC110 each of them has its own end
            await asyncio.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        """Let the address go; more than once does no harm."""
        if self.bound.socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.bound.socket)
            self.bound.close()


def _access(options: Options) -> Access:
    return Access.of(options.unix_socket_mode, options.unix_socket_user, options.unix_socket_group)

"""One HTTP connection: requests out, in order; replies back, in the same order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, cast

import httptools

from evframe.plugin import Age, HostAddress

Address = tuple[str, int]
Reply = tuple[int, bytes]
MAX_REPLY_BYTES: Final = (1 << 20) + (1 << 16)  # a megabyte, and what may stand before it


class ConnectionEnded(Exception):  # noqa: N818 not a mistake of anybody
    """The connection is gone; *reason* says how."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HttpConnection(asyncio.Protocol):
    """Matches replies with requests by their order, as HTTP/1.1 does.

    Args:
        address: the one of the host that it is made to.
        on_closed: called with the peer's and the own address when the connection has ended.
        most_s: its greatest age in seconds; 0 for none.
    """

    def __init__(
        self, address: HostAddress, on_closed: Callable[[Address, Address], None], most_s: float = 0.0
    ) -> None:
        self._on_closed = on_closed
        self._most_s = most_s
        self._age = Age()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Reply | ConnectionEnded]] = deque()
        self._parser: httptools.HttpResponseParser | None = None
        self._body = bytearray()
        self._size = 0  # of the reply that is being read
        self._ends_with_connection = False
        self.address = address
        self.is_leaving = False
        """Whether the next call goes over another connection."""
        self.stays_open = True
        """False once the peer has said, or shown, that it closes after a reply."""
        self.is_reported = False
        """Whether others are notified of its end: it has carried events that are no meta events."""

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, requests: Sequence[bytes]) -> list[asyncio.Future[Reply | ConnectionEnded]]:
        """Write *requests* at once; each future ends with status and body, or with how the connection ended.

        That is a result and no exception: one that is raised keeps the frame that waited for it.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Reply | ConnectionEnded]] = [loop.create_future() for _ in requests]
        if self._transport is None or self._transport.is_closing():
            for future in futures:
                future.set_result(ConnectionEnded("closed"))
        else:
            self._waiting.extend(futures)
            self._transport.write(b"".join(requests))
        return futures

    def leave(self) -> None:
        """Take no further requests, and end when those under way have their replies."""
        self.is_leaving = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Close the connection; what has no reply ends without one."""
        self._ends_with_connection = False  # it is we who end it
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._parser = httptools.HttpResponseParser(self)
        self._transport = cast(asyncio.Transport, transport)  # that of uvloop is one in all but name
        self._peer = transport.get_extra_info("peername")
        self._own = transport.get_extra_info("sockname")
        self._age.begins(self._most_s, self.leave)

    def data_received(self, data: bytes) -> None:
        """Read replies."""
        if not self._waiting or self._parser is None:
            self.close()  # no request asked for it
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._give_up()
        if self._size > MAX_REPLY_BYTES:
            self._give_up()

    def _give_up(self) -> None:
        """End with a reply of no use: the call has been made, so that it is not made again."""
        self._answer(0, b"")
        self.close()

    def on_message_begin(self) -> None:
        """Be notified by the parser."""
        self._body.clear()
        self._ends_with_connection = True

    def on_header(self, name: bytes, _: bytes) -> None:
        """Be notified by the parser."""
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._ends_with_connection = False

    def on_body(self, data: bytes) -> None:
        """Be notified by the parser."""
        self._body += data

    def on_message_complete(self) -> None:
        """Be notified by the parser."""
        assert self._parser is not None
        self._ends_with_connection = False
        status = self._parser.get_status_code()
        if status < 200:
            return  # the reply is still to come
        self._size = 0
        self._answer(status, bytes(self._body))
        if not self._parser.should_keep_alive():
            self.stays_open = False
            self.close()
        elif self.is_leaving and not self._waiting:
            self.close()

    def _answer(self, status: int, body: bytes) -> None:
        if self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result((status, body))

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        parser, self._parser = self._parser, None  # they have each other: a cycle
        self._age.ends()
        if self._ends_with_connection and error is None and parser is not None:
            self.stays_open = False
            self._answer(parser.get_status_code(), bytes(self._body))
        self._transport = None
        reason = "closed" if error is None else "reset"
        for future in self._waiting:
            if not future.done():
                future.set_result(ConnectionEnded(reason))
        self._waiting.clear()
        if self.is_reported and self._peer and self._own:
            self._on_closed(self._peer[:2], self._own[:2])

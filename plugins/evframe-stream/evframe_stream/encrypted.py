"""TLS on a connection whose receiver never answers, as that of syslog: RFC 5425."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from evframe.plugin import Resolver
from evframe_stream.connection import Endpoint
from evframe_stream.options import Options
from evframe_stream.silent import SilentConnection

_READ_BYTES: Final = 1 << 16
_VERDICT_S: Final = 0.5
"""How long a receiver without session tickets, which may send nothing after the handshake, is waited for."""


class EncryptedConnection(SilentConnection):
    """Encrypts what is written; an event is delivered when its last encrypted byte is acknowledged.

    Args:
        endpoint, options, resolver: see `Connection`.
        context: what certificates are checked with.
    """

    protocol = "tls"

    def __init__(self, endpoint: Endpoint, options: Options, resolver: Resolver, context: ssl.SSLContext) -> None:
        super().__init__(endpoint, options, resolver)
        self._context = context
        self._handshake_s = options.connect_timeout_ms / 1000
        self._tls: ssl.SSLObject | None = None
        self._is_shaken = False  # the handshake is over
        self._is_secure = False  # messages can be written
        self._limit: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether messages can be written."""
        return self._is_secure and super().is_open

    def opened(self) -> None:
        """Begin the handshake."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_hostname=self._endpoint[0])
        self._begin(self._handshake_s, self._end_late)
        self._shake()

    def _begin(self, limit_s: float, at_limit: Callable[[], None]) -> None:
        self._end_limit()
        self._limit = self.loop.call_later(limit_s, at_limit)

    def _end_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _end_late(self) -> None:
        self.end("connect_timeout")

    def received(self, data: bytes) -> None:
        """Take part in the handshake; of what follows it, only the end of the connection counts."""
        if self._tls is None:
            return
        self._incoming.write(data)
        if not self._is_shaken:
            self._shake()
        elif not self._is_secure:
            self._secure()
        if self._is_secure:
            self._read_decrypted()

    def _shake(self) -> None:
        assert self._tls is not None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_encrypted()
            return
        except ssl.SSLError:
            self._send_encrypted()  # the alert
            self.end("tls")
            return
        self._send_encrypted()
        self._is_shaken = True
        if self._tls.version() == "TLSv1.3" and not self._incoming.pending:
            # A receiver that wants a certificate of ours checks it only now: its first bytes say what it has found.
            self._begin(_VERDICT_S, self._secure)
        else:
            self._secure()

    def _secure(self) -> None:
        self._end_limit()
        self._read_decrypted()
        if self._tls is not None:
            self._is_secure = True
            super().opened()

    def _read_decrypted(self) -> None:
        """Take what the receiver has sent: nothing that counts, its verdict, or its end of the connection."""
        assert self._tls is not None
        try:
            while self._tls.read(_READ_BYTES):
                pass
        except ssl.SSLWantReadError:
            self._send_encrypted()  # an answer of the protocol
            return
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError:
            self.end("tls")
            return
        self.ended()

    def _send_encrypted(self) -> None:
        data = self._outgoing.read()
        if data:
            super().write(data)

    def write(self, data: bytes) -> int:
        """Encrypt *data* and queue it on the open connection; return where it ends."""
        assert self._tls is not None
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        return super().write(self._outgoing.read())

    def leave(self) -> None:
        """See `SilentConnection`; the receiver is notified of the end."""
        self._notify()
        super().leave()

    def lost(self, reason: str, acknowledged: int) -> None:
        """Give the events back that are not acknowledged; see `SilentConnection`."""
        self._end_limit()
        self._is_secure = self._is_shaken = False
        self._tls = None
        super().lost(reason, acknowledged)

    def close(self) -> None:
        """Close the connection for good."""
        if self.is_open:
            self._notify()
        super().close()

    def _notify(self) -> None:
        """Send the end of the connection, as the protocol demands."""
        assert self._tls is not None
        try:
            self._tls.unwrap()
        except ssl.SSLError:  # the receiver's end has not come yet
            self._send_encrypted()

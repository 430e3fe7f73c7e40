"""One address that is listened at: bound at once, and left without a connection that is not accepted."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

from evframe_wire.bound import BoundAddress, Target
from evframe_wire.endpoints import Access, endpoint_text

from evframe.plugin import reserved

_AT_ONCE: Final = 100  # connections before the loop serves others
_PAUSE_S: Final = 1.0
_NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NOT_A_PATH: Final = Access(0o600)


class Listener:
    """A bound address.

    It accepts connections itself, instead of `aiohttp.web.SockSite`. A site has one TLS context for its life, and
    when it closes, connections that are made and not yet accepted are reset; a reload may change the certificate and
    the address, and resets no connection. A site also takes no descriptor from the reserve when all are in use.

    Args:
        target: the host and the port, or the path.
        accepted: takes each connection.
        before: the listener that it takes the place of.
        option: the path of the option that has the address, for errors.
        access: who may use a path.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(
        self,
        target: Target,
        accepted: Callable[[socket.socket], None],
        before: Listener | None = None,
        *,
        option: str,
        access: Access = _NOT_A_PATH,
    ) -> None:
        self._accepted = accepted
        self._pause: asyncio.TimerHandle | None = None
        beside = None if before is None else before.bound
        try:
            self.bound: BoundAddress = BoundAddress(socket.SOCK_STREAM, target, access, beside)
        except OSError as error:
            raise OSError(error.errno, f"{option}: {endpoint_text(target)!r}: {error.strerror}") from None

    def listen(self) -> None:
        """Take connections."""
        self._pause = None
        asyncio.get_running_loop().add_reader(self.bound.socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted = self._next()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    loop = asyncio.get_running_loop()
                    loop.remove_reader(self.bound.socket)
                    self._pause = loop.call_later(_PAUSE_S, self.listen)
                return
            accepted.setblocking(False)
            self._accepted(accepted)

    def _next(self) -> socket.socket:
        """Return the next connection; where all descriptors are taken, it has one of the reserve."""
        try:
            return self.bound.socket.accept()[0]
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        with reserved():
            return self.bound.socket.accept()[0]

    def leave(self) -> None:
        """Close the address, after the connections that are made already."""
        self._accept()
        self.close()

    def close(self) -> None:
        """Close the address; more than once does no harm."""
        if self.bound.socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.bound.socket)
            if self._pause is not None:
                self._pause.cancel()
            self.bound.close()

"""One address that is listened at: bound at once, and left without a connection that nobody takes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

from evframe.endpoints import Access, OwnPath, bind_inet, bind_unix, inet_address, parse_endpoint
from evframe_mi_http.options import Options

_AT_ONCE: Final = 100  # connections before the loop serves others
_PAUSE_S: Final = 1.0
_NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """A bound address.

    Args:
        options: where, and who may use a path.
        accepted: takes each connection.
        before: the listener that it takes the place of.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(
        self, options: Options, accepted: Callable[[socket.socket], None], before: Listener | None = None
    ) -> None:
        self._target = target = parse_endpoint(options.bind)
        self._accepted = accepted
        self._own: OwnPath | None = None
        self._pause: asyncio.TimerHandle | None = None
        try:
            if isinstance(target, str):
                self.bound, self._own = bind_unix(socket.SOCK_STREAM, target, access(options))
            else:
                beside = None if before is None else before.bound
                self.bound = bind_inet(socket.SOCK_STREAM, *target, beside=beside)
        except OSError as error:
            raise OSError(error.errno, f"plugins.mi-http.bind: {options.bind!r}: {error.strerror}") from None
        self.bound.setblocking(False)
        name = self.bound.getsockname()
        self.address: str | tuple[str, int] = name if isinstance(name, str) else name[:2]
        """The UNIX path, or the host and the port."""

    def is_at(self, bind: str) -> bool:
        """Return whether *bind* is where it listens."""
        target = parse_endpoint(bind)
        if isinstance(target, str):
            return target == self.address and self._own is not None and self._own.is_there
        return target == self._target or bool(inet_address(socket.SOCK_STREAM, *target)[1][:2] == self.address)

    def give(self, options: Options) -> None:
        """Give the path, if it is one, to those who may use it now."""
        if self._own is not None:
            access(options).give(self._own.path)

    def listen(self) -> None:
        """Take connections."""
        self._pause = None
        asyncio.get_running_loop().add_reader(self.bound, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self.bound.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    loop = asyncio.get_running_loop()
                    loop.remove_reader(self.bound)
                    self._pause = loop.call_later(_PAUSE_S, self.listen)
                return
            accepted.setblocking(False)
            self._accepted(accepted)

    def leave(self) -> None:
        """Let the address go, after the connections that are made already."""
        self._accept()
        self.close()

    def close(self) -> None:
        """Let the address go; more than once does no harm."""
        if self.bound.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.bound)
            if self._pause is not None:
                self._pause.cancel()
            if self._own is not None:
                self._own.remove()
            self.bound.close()


def access(options: Options) -> Access:
    """Return who may use a path."""
    return Access.of(options.unix_socket_mode, options.unix_socket_user, options.unix_socket_group)

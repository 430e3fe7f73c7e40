"""Addresses that are bound, and that others take the place of while a plugin works."""

from __future__ import annotations

import socket

from evframe_wire.endpoints import Access, OwnPath, Target, bind_inet, bind_unix, inet_address
from evframe_wire.handed_over import HANDED_OVER, real_path

__all__ = ["BoundAddress", "Target"]


class BoundAddress:
    """A bound port or UNIX path, without waiting; see `evframe_wire.endpoints`.

    A socket at this place that was handed over to the process is used instead; its path stays as it is.

    Args:
        kind: `socket.SOCK_STREAM`, which takes connections from now on, or `socket.SOCK_DGRAM`.
        target: the path, or host and port.
        access: who may use a path.
        before: what it takes the place of; it may have the same port, on another address.

    Raises:
        OSError: if the address is in use, or cannot be made.
    """

    def __init__(
        self, kind: socket.SocketKind, target: Target, access: Access, before: BoundAddress | None = None
    ) -> None:
        self._kind = kind
        self._target = target
        self._path: OwnPath | None = None
        held = HANDED_OVER.at(kind, target)
        self._is_held = held is not None
        if held is not None:
            self.socket = held.open()
        elif isinstance(target, str):
            self.socket, self._path = bind_unix(kind, target, access)
        else:
            self.socket = bind_inet(kind, *target, beside=None if before is None else before.socket)
        self.socket.setblocking(False)
        name = self.socket.getsockname()
        self.address: Target = name if isinstance(name, str) else name[:2]
        """The UNIX path, or the host and the port."""

    def is_at(self, target: Target) -> bool:
        """Return whether *target* is this address, so that nothing has to be bound for it."""
        if isinstance(target, str):
            is_same = real_path(target) == real_path(self.address)
            return is_same and (self._is_held or (self._path is not None and self._path.is_there))
        return target == self._target or bool(inet_address(self._kind, *target)[1][:2] == self.address)

    def give(self, access: Access) -> None:
        """Give the path, if it is one, to those who may use it now."""
        if self._path is not None:
            access.give(self._path.path)

    def remove_path(self) -> None:
        """Remove the path, if it is one."""
        if self._path is not None:
            self._path.remove()

    def close(self) -> None:
        """Close the address; more than once does no harm."""
        self.remove_path()
        self.socket.close()

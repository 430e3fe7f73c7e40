"""Sockets that another process has bound for this one and holds, too: they keep what arrives during a restart."""

from __future__ import annotations

import errno
import os
import socket
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from evframe_wire.endpoints import Target, endpoint_text, inet_address

_ANY: Final = {"0.0.0.0", "::"}  # noqa: S104 compared, not bound


@attrs.define(eq=False)
class HeldSocket:
    """One of these sockets, whose descriptor stays open, so that a reload can use it again."""

    name: str
    descriptor: int
    kind: socket.SocketKind
    address: Any
    """The UNIX path, or the host and the port; anything else for a socket that no option can name."""
    _used: list[weakref.ref[socket.socket]] = attrs.field(factory=list)

    @classmethod
    def of(cls, name: str, descriptor: int) -> HeldSocket:
        """Return the socket with the number *descriptor*.

        Raises:
            OSError: if it is no socket that datagrams or connections come to.
        """
        with _duplicate(descriptor) as found:
            is_stream = found.type is socket.SOCK_STREAM
            if not is_stream and found.type is not socket.SOCK_DGRAM:
                raise OSError(
                    errno.EINVAL, f"expected SOCK_STREAM or SOCK_DGRAM, got {getattr(found.type, 'name', found.type)}"
                )
            if is_stream and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise OSError(errno.EINVAL, "expected a socket that listens, got one that does not")
            address = found.getsockname()
            return cls(name, descriptor, found.type, address[:2] if isinstance(address, tuple) else address)

    def __str__(self) -> str:
        address = self.address
        place = endpoint_text(address) if isinstance(address, str | tuple) and address else repr(address)
        return f"{self.kind.name} at {place}"

    @property
    def is_lost(self) -> bool:
        """Whether the socket is at a UNIX path that no longer exists: no client finds it."""
        try:
            return isinstance(self.address, str) and bool(self.address) and not os.stat(self.address)
        except FileNotFoundError:
            return True
        except OSError:  # this process may not look there
            return False

    @property
    def is_used(self) -> bool:
        """Whether a socket that `open` has returned is open."""
        self._used = [each for each in self._used if (sock := each()) is not None and sock.fileno() >= 0]
        return bool(self._used)

    def open(self) -> socket.socket:
        """Return another socket with the same end in the kernel; closing it leaves what waits there."""
        found = _duplicate(self.descriptor)
        found.setblocking(False)
        self._used.append(weakref.ref(found))
        return found


def _duplicate(descriptor: int) -> socket.socket:
    duplicate = os.dup(descriptor)
    try:
        return socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise


def real_path(address: Any) -> Any:
    """Return an absolute path without links in its folders, such as /var/run; anything else as it is."""
    if not isinstance(address, str) or not os.path.isabs(address):
        return address
    folder, name = os.path.split(address)
    return os.path.join(os.path.realpath(folder), name)


class HandedOver:
    """The sockets that were handed over to this process."""

    def __init__(self) -> None:
        self._source: Callable[[], Iterable[HeldSocket]] = tuple
        self._held: list[HeldSocket] | None = None

    def come_from(self, source: Callable[[], Iterable[HeldSocket]]) -> None:
        """Have *source* return the sockets when the next address is bound: a plugin knows how they are handed over."""
        if source != self._source:
            self._source, self._held = source, None

    @property
    def held(self) -> list[HeldSocket]:
        """All of them."""
        if self._held is None:
            self._held = list(self._source())
        return self._held

    @property
    def unused(self) -> list[HeldSocket]:
        """Those that nothing uses now."""
        return [each for each in self.held if not each.is_used]

    def named(self, name: str) -> HeldSocket | None:
        """Return the one with the *name*.

        Raises:
            OSError: if several have it.
        """
        found = [each for each in self.held if each.name == name]
        if len(found) > 1:
            raise OSError(errno.EINVAL, f"expected one socket with the name {name!r}, got {len(found)}")
        return found[0] if found else None

    def at(self, kind: socket.SocketKind, target: Target) -> HeldSocket | None:
        """Return the one at the path, or the host and port, *target*, unless it is in use.

        Raises:
            OSError: if the path or the port has another one, or *target* is a name that does not resolve.
        """
        if isinstance(target, str):
            target = real_path(target)
        inet = [each for each in self.held if isinstance(each.address, tuple) and each.kind is kind]
        if not isinstance(target, str) and inet:
            target = inet_address(kind, *target)[1][:2]
        there = [each for each in self.held if real_path(each.address) == target]
        found = [each for each in there if each.kind is kind]
        if isinstance(target, str) and there and not found:
            raise OSError(errno.EINVAL, f"expected {kind.name}, got {there[0].kind.name} {there[0].name!r} there")
        for each in () if isinstance(target, str) or found else inet:
            if each.address[1] == target[1] and {each.address[0], target[0]} & _ANY:
                problem = f"expected this address of {each.name!r}, which was handed over, got {each}"
                raise OSError(errno.EADDRINUSE, problem)
        return next((each for each in found if not each.is_used), None)


HANDED_OVER: Final = HandedOver()
"""Those of this process: descriptors belong to a process, and not to an interface."""

"""Where plugins listen: ports, and paths of UNIX sockets and FIFOs with those who may use them."""

from __future__ import annotations

import errno
import grp
import ipaddress
import os
import pwd
import re
import socket
import stat
import threading
from typing import Any, Final

import attrs

from evframe_wire.addresses import split_host_port, without_brackets

Target = str | tuple[str, int]
"""Where a plugin listens: a UNIX path, or a host and a port."""
_PATH_BYTES: Final = 107  # what the kernel's address of a UNIX socket holds
_BACKLOG: Final = 128
BIND_LOOKUP_S: Final = 1.0
"""How long a name that is bound may take to resolve."""


def parse_endpoint(text: str) -> str | tuple[str, int]:
    """Return the UNIX path, or host and port, that *text* names; port 0 stands for a free one.

    Raises:
        ValueError: if it names neither.
    """
    if text.startswith("unix:"):
        return check_path(text[5:], f"unix:path of 1 to {_PATH_BYTES} bytes", text)
    host, colon, port = text.rpartition(":")
    if colon and host and port == "0":
        return without_brackets(host), 0
    host, number = split_host_port(text)
    return without_brackets(host), number


def check_path(path: str, form: str, text: str) -> str:
    """Return *path*, which a UNIX socket can have.

    Raises:
        ValueError: that says the accepted *form* and the *text* that was given.
    """
    if not 1 <= len(os.fsencode(path)) <= _PATH_BYTES or "\0" in path:
        raise ValueError(f"expected {form}, got {text!r}")
    return path


def is_loopback(host: str) -> bool:
    """Return whether *host* cannot be reached from other machines; of names only ``localhost`` is known not to be."""
    try:
        return ipaddress.ip_address(without_brackets(host)).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def endpoint_text(address: str | tuple[str, int]) -> str:
    """Return an address as `parse_endpoint` takes it."""
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@attrs.frozen
class _OctalMode:
    pattern: str = "0?[0-7]{1,3}"

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: str) -> None:
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"{attribute.name}: expected an octal mode such as '660', got {value!r}")


octal_mode: Final = _OctalMode()
"""The validator of an option that is the octal mode of a path; its `pattern` is the regular expression of the text."""


def known_user(_: Any, attribute: attrs.Attribute[Any], value: int | str | None) -> None:
    """Validate an option that is a user's name or id."""
    try:
        _number(value, lambda name: pwd.getpwnam(name).pw_uid)
    except (KeyError, ValueError):
        raise ValueError(f"{attribute.name}: expected a user's name or id, got {value!r}") from None


def known_group(_: Any, attribute: attrs.Attribute[Any], value: int | str | None) -> None:
    """Validate an option that is a group's name or id."""
    try:
        _number(value, lambda name: grp.getgrnam(name).gr_gid)
    except (KeyError, ValueError):
        raise ValueError(f"{attribute.name}: expected a group's name or id, got {value!r}") from None


def _number(value: int | str | None, look_up: Any) -> int:
    if value is None:
        return -1
    number = int(value) if isinstance(value, int) or value.isdecimal() else look_up(value)
    if not 0 <= number < 2**32 - 1:  # which stands for no id
        raise ValueError
    return int(number)


@attrs.frozen
class Access:
    """Who may use a path: its mode, and the ids of its user and its group, -1 for those of this process."""

    mode: int
    uid: int = -1
    gid: int = -1

    @classmethod
    def of(cls, mode: str, user: int | str | None = None, group: int | str | None = None) -> Access:
        """Return the access that options give; mode 0 stands for 600."""
        return cls(
            int(mode, 8) or 0o600,
            _number(user, lambda name: pwd.getpwnam(name).pw_uid),
            _number(group, lambda name: grp.getgrnam(name).gr_gid),
        )

    def give(self, path: str | int) -> None:
        """Give the path, or the open file, to those who may use it."""
        if (self.uid, self.gid) != (-1, -1):
            os.chown(path, self.uid, self.gid)
        os.chmod(path, self.mode)


class OwnPath:
    """A path that this process has made; it knows it from what others may put in its place."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._identity = self._look()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = os.lstat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @property
    def is_there(self) -> bool:
        """Whether the path still is what this process has made."""
        return self._identity is not None and self._look() == self._identity

    def remove(self) -> None:
        """Remove the path, unless another process has made it anew."""
        if self.is_there:
            os.unlink(self.path)


def clear_path(path: str, kind: int) -> None:
    """Remove what an earlier run has left at *path*.

    Args:
        path: where a socket or a FIFO is going to be made.
        kind: `stat.S_IFSOCK` or `stat.S_IFIFO`; nothing else is removed, and no link is.

    Raises:
        OSError: if a process listens there, or it is something else.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_IFMT(found.st_mode) != kind or found.st_nlink != 1:
        wanted = "socket" if kind == stat.S_IFSOCK else "FIFO"
        raise FileExistsError(errno.EEXIST, f"expected nothing, or a {wanted} without links", path)
    if _is_used(path, kind):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
    os.unlink(path)


def _is_used(path: str, kind: int) -> bool:
    """Return whether a process reads from *path*, as far as this one can see."""
    try:
        if kind == stat.S_IFIFO:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC))
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.connect(path)
            return True
    except OSError as error:
        return error.errno not in {errno.ENXIO, errno.ECONNREFUSED}


def bind_unix(kind: socket.SocketKind, path: str, access: Access) -> tuple[socket.socket, OwnPath]:
    """Return a socket bound to *path*, which only those of *access* can use from the first moment on.

    One for connections takes them from now on.
    """
    clear_path(path, stat.S_IFSOCK)
    bound = socket.socket(socket.AF_UNIX, kind)
    try:
        os.fchmod(bound.fileno(), access.mode & 0o600)  # what the path is made with
        bound.bind(path)
        own = OwnPath(path)
        try:
            access.give(path)
            if kind == socket.SOCK_STREAM:
                bound.listen(_BACKLOG)
        except BaseException:
            own.remove()
            raise
    except BaseException:
        bound.close()
        raise
    return bound, own


def inet_address(kind: socket.SocketKind, host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Return the first address of *host*, with its family, as `bind_inet` takes it.

    A name is waited for by the caller, and so by the loop, for a bounded time: whether the address can be
    bound is an error of the start, or of the reload.

    Raises:
        OSError: if *host* is a name that does not resolve, or not in time.
    """
    try:
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        found = _look_up(kind, host, port)
    family, _, _, _, address = found[0]
    return family, address


def _look_up(kind: socket.SocketKind, host: str, port: int) -> list[Any]:
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE))
        except (OSError, UnicodeError) as error:
            outcome.append(error)

    thread = threading.Thread(target=work, name="evframe-bind", daemon=True)
    thread.start()
    thread.join(BIND_LOOKUP_S)
    found = outcome[0] if outcome else TimeoutError(f"no answer within {BIND_LOOKUP_S:g} s")
    if isinstance(found, Exception):
        raise OSError(f"expected a host that resolves, got {host!r}: {found}")
    return list(found)


def bind_inet(kind: socket.SocketKind, host: str, port: int, *, beside: socket.socket | None = None) -> socket.socket:
    """Return a socket bound to the first address of *host*; one for connections takes them from now on.

    Args:
        kind: `socket.SOCK_STREAM` or `socket.SOCK_DGRAM`.
        host: a name or an address, without brackets.
        port: 0 takes a free one; a port of connections may be taken over at once.
        beside: the socket that the new one takes the place of; it may have the same port, on another address.

    Raises:
        OSError: if the address is in use, or not of this host.
    """
    family, address = inet_address(kind, host, port)
    bound = socket.socket(family, kind)
    is_shared = beside is not None and beside.getsockname()[1:2] == (port,)
    shared = [bound, beside] if beside is not None and is_shared else []
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for each in shared:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
        if kind == socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
    except BaseException:
        bound.close()
        raise
    finally:
        for each in shared:
            if each.fileno() >= 0:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    return bound

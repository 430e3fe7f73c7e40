"""The options of the interface: the table ``[plugins.mi-datagram]``."""

from __future__ import annotations

from typing import Final

import attrs
from evframe_mi import NarrowingOptions
from evframe_wire.endpoints import check_path, is_loopback, known_group, known_user, octal_mode, parse_endpoint

from evframe.plugin import at_least, within

_FORM: Final = "udp:host:port or the absolute path of a UNIX socket, of at most 107 bytes"


def parse_name(text: str) -> str | tuple[str, int]:
    """Return the UNIX path, or host and port, of a ``socket_name``.

    Raises:
        ValueError: if it is neither.
    """
    path = text.removeprefix("unix:")
    if path.startswith("/"):
        return check_path(path, _FORM, text)
    if not text.startswith("udp:") or text.startswith("udp:unix:"):
        raise ValueError(f"expected {_FORM}, got {text!r}")
    return parse_endpoint(text[4:])


def _name(options: Options, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is None:
        return
    try:
        target = parse_name(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
    if not isinstance(target, str) and not is_loopback(target[0]) and not options.allow_remote:
        raise ValueError(
            f"{attribute.name}: expected a loopback address or a UNIX path, because datagrams bring no token,"
            f" got {value!r}; bind to 127.0.0.1, or set allow_remote = true"
        )


@attrs.frozen
class Options(NarrowingOptions):
    """Where the interface listens, who may use it and what fits."""

    socket_name: str | None = attrs.field(default=None, validator=_name)
    """``udp:host:port``, ``udp:[ipv6]:port`` or a UNIX path; port 0 takes a free one.
    Without it nothing listens."""
    allow_remote: bool = False
    """Let ``socket_name`` be an address that others can reach, each of whom can then do everything."""
    unix_socket_mode: str = attrs.field(default="660", validator=octal_mode)
    """The octal mode of a UNIX path."""
    unix_socket_user: int | str | None = attrs.field(default=None, validator=known_user)
    """Whom a UNIX path belongs to, by name or id."""
    unix_socket_group: int | str | None = attrs.field(default=None, validator=known_group)
    """The group of a UNIX path, by name or id."""
    socket_timeout_ms: int = attrs.field(default=2000, validator=at_least(0))
    """How long a reply waits for a client that does not read its socket."""
    socket_buf_size: int = attrs.field(default=65457, validator=within(256, 65507, "bytes"))
    """The largest request and the largest reply, in bytes."""
    pretty_printing: bool = False
    """Answer with one member per line."""

"""The options of the interface: the table ``[plugins.mi-http]``."""

from __future__ import annotations

import os
from typing import Any

import attrs

from evframe import split_host_port
from evframe.config import at_least


def parse_bind(text: str) -> str | tuple[str, int]:
    """Return the UNIX path, or host and port, that *text* names.

    Raises:
        ValueError: if it names neither.
    """
    if text.startswith("unix:"):
        path = text[5:]
        if not 1 <= len(os.fsencode(path)) <= 107 or "\0" in path:
            raise ValueError(f"expected unix:path of 1 to 107 bytes, got {text!r}")
        return path
    host, colon, port = text.rpartition(":")
    if colon and host and port == "0":
        return host.strip("[]"), 0
    host, number = split_host_port(text)
    return host.strip("[]"), number


def _bind(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        parse_bind(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None


def _path(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.startswith("/") or value.endswith("/") or "?" in value:
        raise ValueError(f"{attribute.name}: expected a path such as '/mi', got {value!r}")


@attrs.frozen
class Options:
    """Where the interface listens and what it accepts (`reference/core.md` §9.1)."""

    bind: str = attrs.field(default="127.0.0.1:8888", validator=_bind)
    """``host:port``, ``[ipv6]:port`` or ``unix:path``; port 0 takes a free one."""
    path: str = attrs.field(default="/mi", validator=_path)
    """Requests for this path and everything below it are answered."""
    max_body_bytes: int = attrs.field(default=1 << 20, validator=at_least(1))
    """The largest request."""
    conn_timeout_s: float = 30.0
    """How long a connection may be idle, or a request take to arrive; 0 for no limit."""
    pretty_printing: bool = False
    """Answer with one member per line."""

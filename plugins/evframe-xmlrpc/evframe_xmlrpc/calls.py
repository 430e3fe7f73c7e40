"""From events to the bytes of calls (`reference/transports.md` §3b)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from evframe import UNSET, Event
from evframe_xmlrpc.address import XmlrpcSocket

_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_SPECIAL: Final = re.compile(r"[&<>\r]")
# What XML 1.0 cannot have, not even escaped.
_IMPOSSIBLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1


def escape(text: str) -> str:
    """Return *text* as XML character data; what XML cannot have becomes U+FFFD."""
    if _IMPOSSIBLE.search(text):
        text = _IMPOSSIBLE.sub("\ufffd", text)
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text) if _SPECIAL.search(text) else text


def value(item: object) -> str:
    """Return the ``<value>`` of a parameter."""
    return f"<value>{_typed(item)}</value>"


def _typed(item: object) -> str:  # noqa: PLR0911 one for each type
    if item is None or item is UNSET:
        return "<string></string>"
    if isinstance(item, bool):
        return f"<boolean>{int(item)}</boolean>"
    if isinstance(item, int):
        kind = "int" if _INT_MIN <= item <= _INT_MAX else "i8"
        return f"<{kind}>{int(item)}</{kind}>"
    if isinstance(item, float):
        return f"<double>{item!r}</double>" if math.isfinite(item) else "<string></string>"
    if isinstance(item, bytes | bytearray):
        item = bytes(item).decode("utf-8", "replace")
    if isinstance(item, Mapping):
        return _struct(list(item.items()))
    if isinstance(item, list | tuple):
        return f"<array><data>{''.join(map(value, item))}</data></array>"
    return f"<string>{escape(str(item))}</string>"


def _struct(members: Sequence[tuple[Any, object]]) -> str:
    inner = "".join(f"<member>\n<name>{escape(str(name))}</name>\n{value(item)}\n</member>" for name, item in members)
    return f"<struct>{inner}</struct>"


def values(event: Event, *, as_struct: bool) -> list[str]:
    """Return the ``<value>`` of each parameter of the call for *event*: its name comes first."""
    pairs = event.pairs
    first = value(event.name)
    if as_struct and pairs and pairs[0][0] is not None:
        return [first, f"<value>{_struct([(name or '', item) for name, item in pairs])}</value>"]
    return [first, *(value(item) for _, item in pairs)]


def call(method: str, params: Sequence[str]) -> bytes:
    """Return the XML of a call with *params*, each a ``<value>``."""
    blocks = "".join(f"<param>\n{param}\n</param>\n" for param in params)
    text = (
        '<?xml version="1.0"?>\n<methodCall>\n'
        f"<methodName>{escape(method)}</methodName>\n<params>\n{blocks}</params>\n</methodCall>"
    )
    return text.encode()


def multicall(method: str, calls: Sequence[Sequence[str]]) -> bytes:
    """Return the XML of one ``system.multicall`` for several calls."""
    name = f"<member><name>methodName</name>{value(method)}</member>"
    entries = "".join(
        f"<value><struct>{name}<member><name>params</name><value><array><data>{''.join(params)}"
        "</data></array></value></member></struct></value>"
        for params in calls
    )
    return call("system.multicall", [f"<value><array><data>{entries}</data></array></value>"])


def request(target: XmlrpcSocket, body: bytes, *, keep_alive: bool) -> bytes:
    """Return the whole HTTP request."""
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\nUser-Agent: OpenSIPS XMLRPC Notifier\r\n"
        f"Content-type: text/xml\r\nContent-length: {len(body)}\r\n\r\n"
    )
    return head.encode("utf-8", "surrogateescape") + body

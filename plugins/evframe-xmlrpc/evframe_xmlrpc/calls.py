"""From events to the bytes of calls."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from evframe_wire.encoding import encode_leaf

from evframe import UNSET, Event, ExactNumber, Pairs
from evframe_xmlrpc.address import XmlrpcSocket

_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_SPECIAL: Final = re.compile(r"[&<>\r]")
# What XML 1.0 cannot have, not even escaped.
_IMPOSSIBLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INTEGER: Final = re.compile(r"-?[0-9]+")
_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_MOST_HEADER: Final = 2048  # characters; servers take some more, and refuse a request with a longer one
Carried = Sequence[Mapping[str, str] | None] | None
"""The headers of the events of a batch, by their indexes; None when none has any."""


def escape(text: str) -> str:
    """Return *text* as XML character data; what XML cannot have becomes U+FFFD."""
    if _IMPOSSIBLE.search(text):
        text = _IMPOSSIBLE.sub("\ufffd", text)
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text) if _SPECIAL.search(text) else text


class _Xml(str):
    """Text that is XML already."""

    __slots__ = ()


def value(item: object) -> str:
    """Return the ``<value>`` of a parameter, however deep it is: nothing here calls itself."""
    scalar = _scalar(item)
    if scalar is not None:
        return f"<value>{scalar}</value>"
    done: list[str] = []
    todo: list[object] = [item]
    while todo:
        each = todo.pop()
        if isinstance(each, _Xml):
            done.append(each)
        elif (scalar := _scalar(each)) is not None:
            done.append(f"<value>{scalar}</value>")
        else:
            todo += reversed(_container(each))
    return "".join(done)


def _scalar(item: object) -> str | None:
    """Return the typed value of *item*, or None when it is a container."""
    if item is None or item is UNSET:
        return "<string></string>"
    if isinstance(item, bool):
        return f"<boolean>{int(item)}</boolean>"
    if isinstance(item, int | float):
        return _number(item)
    if isinstance(item, bytes | bytearray):
        item = bytes(item).decode("utf-8", "replace")
    if isinstance(item, Mapping | list | tuple):
        return None
    return f"<string>{escape(str(item))}</string>"


def _number(number: float) -> str:
    """Return the typed value of *number* with all its digits; nothing for a float that is not finite."""
    if isinstance(number, float) and not isinstance(number, ExactNumber):
        return f"<double>{number!r}</double>" if math.isfinite(number) else "<string></string>"
    digits = encode_leaf(number)[1].decode()  # however many: Python itself writes some thousands at most
    if isinstance(number, int):
        kind = "int" if _INT_MIN <= number <= _INT_MAX else "i8"
    else:
        kind = "i8" if _INTEGER.fullmatch(digits) else "double"
    return f"<{kind}>{digits}</{kind}>"


def _container(item: object) -> list[object]:
    """Return the parts of a container: XML, and the values within it."""
    if isinstance(item, Pairs):
        item = _Members(item) if item and item[0][0] is not None else [inner for _, inner in item]
    if isinstance(item, Mapping):
        item = _Members(item.items())
    if isinstance(item, _Members):
        return [_Xml("<value><struct>"), *item.parts(), _Xml("</struct></value>")]
    assert isinstance(item, list | tuple)
    return [_Xml("<value><array><data>"), *item, _Xml("</data></array></value>")]


class _Members:
    """The members of a struct; an absent name is the empty text."""

    def __init__(self, members: Iterable[tuple[Any, object]]) -> None:
        self._members = members

    def parts(self) -> Iterator[object]:
        for name, item in self._members:
            yield _Xml(f"<member>\n<name>{escape('' if name is None else str(name))}</name>\n")
            yield item
            yield _Xml("\n</member>")


def values(event: Event, *, as_struct: bool) -> list[str]:
    """Return the ``<value>`` of each parameter of the call for *event*: its name comes first."""
    pairs = event.pairs
    first = value(event.name)
    if as_struct and pairs and pairs[0][0] is not None:
        return [first, value(Pairs(pairs))]
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


def common_headers(carried: Carried, indexes: Iterable[int]) -> Mapping[str, str]:
    """Return the headers that all events of a request have, but for what servers refuse; none when they differ."""
    if carried is None:
        return {}
    first, *others = [carried[index] or {} for index in indexes]
    if any(each != first for each in others):
        return {}
    return {name: text for name, text in first.items() if len(text) <= _MOST_HEADER and _is_header(name + text)}


def _is_header(text: str) -> bool:
    """Return whether an HTTP header may have *text*; a line end would begin another header."""
    return text.isascii() and text.isprintable()


def request(target: XmlrpcSocket, body: bytes, headers: Mapping[str, str], *, keep_alive: bool) -> bytes:
    """Return the whole HTTP request, with *headers* of its events."""
    more = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\nUser-Agent: OpenSIPS XMLRPC Notifier\r\n"
        f"Content-type: text/xml\r\n{more}Content-length: {len(body)}\r\n\r\n"
    )
    return head.encode("utf-8", "surrogateescape") + body

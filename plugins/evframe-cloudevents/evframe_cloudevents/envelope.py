"""Events as CloudEvents: the attributes, around the parameters as they are encoded already."""

from __future__ import annotations

import re
import socket
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import orjson

from evframe_cloudevents.moments import Moments

VERSION: Final = "1.0"
EXTENSION: Final = ("traceparent", "tracestate")
"""The attributes of distributed tracing, which have the names of the headers of an event."""
_PROCESS: Final = uuid.uuid4().hex  # of the module, so that every transport has the same id for an event
_HEAD: Final = '{"specversion":"1.0","type":%s,"source":%s,%s"id":'
_JSON: Final = '"datacontenttype":"application/json",'
_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(last - 1)}{chr(last)}" for last in range(0xFFFF, 0x110000, 0x10000)
)
_UNFIT: Final = re.compile(f"[\x00-\x1f\x7f-\x9f{_NONCHARACTERS}]")  # no attribute may have one
Carried = Sequence[Mapping[str, str] | None] | None
"""The headers of events, by their indexes; None when no event has any."""


class Definition(Protocol):
    """The definition of an event: an `evframe.EventDefinition`."""

    name: str
    head: bytes
    bare: bytes


class Raised(Protocol):
    """One raised event: an `evframe.Event`."""

    definition: Any
    payload: bytes
    raised_at: float

    @property
    def body(self) -> bytes | None:
        """The JSON text of the parameters."""


class Attributes(NamedTuple):
    """How a protocol names the attributes in its headers.

    `prefix` is that of the names; `encode` makes the value of a header from the text of an attribute.
    """

    prefix: str
    encode: Callable[[str], Any] = str


class _Constant(NamedTuple):
    """What the CloudEvents of one definition have in common."""

    head: bytes
    """Up to the value of the id."""
    bare_head: bytes
    """The same for an event without parameters."""


class Envelope:
    """Makes CloudEvents.

    Args:
        source: the attribute `source`; None names the host.
        type_prefix: is put before the name of an event in the attribute `type`.
    """

    def __init__(self, source: str | None = None, type_prefix: str = "") -> None:
        host = (socket.gethostname() or "localhost").encode("utf-8", "surrogateescape")  # which may be any bytes
        own = f"//{quote(host, safe='')}/evframe"
        self.source = own if source is None else _text(source)
        self.type_prefix = type_prefix
        self._constants: dict[Any, _Constant] = {}
        # By the definition: the head with the beginning of an id, where parameters begin, and the payload without them.
        self._starts: dict[Any, tuple[bytes, int, bytes]] = {}
        self._binary: dict[Attributes, Binary] = {}
        self._moments = Moments()
        self._stamped = -1  # the milliseconds of the last stamp
        self._stamp = b""

    def type_of(self, name: str) -> str:
        """Return the attribute `type` of the event *name*."""
        return self.type_prefix + _text(name)

    def name_of(self, type_: str) -> str:
        """Return the name of the event with this attribute `type`, with or without the prefix."""
        return type_.removeprefix(self.type_prefix)

    def structured(
        self, events: Iterable[Raised], ids: Sequence[str] | None = None, carried: Carried = None
    ) -> list[bytes]:
        """Return each of *events* in the JSON format.

        Args:
            events: the events.
            ids: of the events; None for those that the process gives them.
            carried: the headers of the events.
        """
        if ids is not None or carried is not None:
            return [self._special(event, _at(ids, index), _at(carried, index)) for index, event in enumerate(events)]
        made: list[bytes] = []
        moments, last, crc32 = self._moments, None, zlib.crc32
        for event in events:
            definition = event.definition
            if definition is not last:
                last = definition
                started, at, bare = self._starts.get(definition) or self._start(definition)
            raised_at, payload = event.raised_at, event.payload
            tail = payload[at:]  # the parameters, and the brace that ends the notification
            if payload is bare or not (tail.isascii() or _is_utf8(tail)):
                made.append(self._special(event, None, None))
                continue
            if raised_at > moments.check_at:
                moments.check(raised_at)
            milliseconds = int(raised_at * 1000 + moments.began_ms)
            if milliseconds != self._stamped:  # events of one burst share it
                self._stamped, self._stamp = milliseconds, b'","time":"%b","data":' % moments.text(milliseconds)
            made.append(b"%b%x-%08x%b%b" % (started, int(raised_at * 1e9), crc32(payload), self._stamp, tail))
        return made

    def _special(self, event: Raised, own_id: str | None, carried: Mapping[str, str] | None) -> bytes:
        """Return an event that has anything that few have."""
        constant = self._constants.get(event.definition) or self._constant(event.definition)
        own = carried or {}
        more = b"".join(b',"%b":%b' % (name.encode(), orjson.dumps(own[name])) for name in EXTENSION if name in own)
        body = event.body
        data = b"" if body is None else b',"data":%b' % utf8(body)
        head = constant.bare_head if body is None else constant.head
        moment = self._moments.of(event.raised_at)
        return b'%b%b,"time":"%b"%b%b}' % (head, orjson.dumps(own_id or id_of(event)), moment, more, data)

    def binary(self, names: Attributes) -> Binary:
        """Return what makes the headers of CloudEvents in the binary mode, with these names."""
        found = self._binary.get(names)
        if found is None:
            found = self._binary[names] = Binary(self, names)
        return found

    def _constant(self, definition: Definition) -> _Constant:
        type_, source = orjson.dumps(self.type_of(definition.name)), orjson.dumps(self.source)
        heads = [(_HEAD % (type_.decode(), source.decode(), kind)).encode() for kind in (_JSON, "")]
        found = self._constants[definition] = _Constant(*heads)
        return found

    def _start(self, definition: Definition) -> tuple[bytes, int, bytes]:
        started = b'%b"%b-' % (self._constant(definition).head, _PROCESS.encode())
        found = self._starts[definition] = started, len(definition.head), definition.bare
        return found


class Binary:
    """Makes the headers of CloudEvents in the binary mode.

    Args:
        envelope: has the attributes.
        names: how the protocol names them.
    """

    def __init__(self, envelope: Envelope, names: Attributes) -> None:
        self._envelope = envelope
        self._prefix, self._encode = names
        self._id, self._time = f"{names.prefix}id", f"{names.prefix}time"
        self._known: dict[Any, dict[str, Any]] = {}
        self._moments = Moments()
        self._stamped = -1  # the milliseconds of the last stamp
        self._stamp: Any = None

    def headers(
        self, event: Raised, own_id: str | None = None, carried: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the attributes of *event*, except `datacontenttype`.

        Args:
            event: the event.
            own_id: of the event; None for that which the process gives it.
            carried: the headers of the event.
        """
        definition, raised_at, moments = event.definition, event.raised_at, self._moments
        headers = (self._known.get(definition) or self._constant(definition)).copy()
        headers[self._id] = self._encode(own_id or id_of(event))
        if raised_at > moments.check_at:
            moments.check(raised_at)
        milliseconds = int(raised_at * 1000 + moments.began_ms)
        if milliseconds != self._stamped:
            self._stamped, self._stamp = milliseconds, self._encode(moments.text(milliseconds).decode())
        headers[self._time] = self._stamp
        if carried:
            headers |= {self._prefix + name: self._encode(carried[name]) for name in EXTENSION if name in carried}
        return headers

    def _constant(self, definition: Definition) -> dict[str, Any]:
        envelope = self._envelope
        texts = {"specversion": VERSION, "type": envelope.type_of(definition.name), "source": envelope.source}
        found = self._known[definition] = {self._prefix + name: self._encode(text) for name, text in texts.items()}
        return found


def id_of(event: Raised) -> str:
    """Return what names an event that ends with the process: the same in each transport and at each attempt."""
    # A coarse clock may have raised several at the same time.
    return f"{_PROCESS}-{int(event.raised_at * 1e9):x}-{zlib.crc32(event.payload):08x}"


def in_batch(events: Iterable[bytes]) -> bytes:
    """Return structured CloudEvents in the JSON batch format."""
    return b"[%b]" % b",".join(events)


def utf8(text: bytes) -> bytes:
    """Return *text* with U+FFFD for what is not UTF-8: a notification may have any bytes, a CloudEvent may not."""
    return text if text.isascii() or _is_utf8(text) else text.decode(errors="replace").encode()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _text(text: str) -> str:
    """Return *text* as an attribute may have it."""
    return _UNFIT.sub("\ufffd", text.encode("utf-8", "surrogateescape").decode(errors="replace"))


def _at(values: Sequence[Any] | None, index: int) -> Any:
    return None if values is None else values[index]

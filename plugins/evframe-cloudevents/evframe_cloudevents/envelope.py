"""Events as CloudEvents: the attributes, around the parameters as they are encoded already."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote

import orjson
from evframe_wire.ids import BLOCK, BLOCK_BITS, NUMBERS, id_of, prefix_of

from evframe_cloudevents.moments import Moments

VERSION: Final = "1.0"
TRACE_PARENT: Final = "traceparent"
EXTENSION: Final = (TRACE_PARENT, "tracestate")
"""The attributes of distributed tracing, which have the names of the headers of an event."""
_HEAD: Final = '{"specversion":"1.0","type":%s,"source":%s,%s"time":'
_LAST: Final = BLOCK - 1
_ENDS: Final = [b'%02x","data":' % number for number in range(BLOCK)]  # of an id, and what follows it
_JSON: Final = '"datacontenttype":"application/json",'
_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(last - 1)}{chr(last)}" for last in range(0xFFFF, 0x110000, 0x10000)
)
_UNFIT: Final = re.compile(f"[\x00-\x1f\x7f-\x9f{_NONCHARACTERS}]")  # no attribute may have one
Carried = Sequence[Mapping[str, str] | None] | None
"""The headers of events, by their indexes; None when no event has any."""
BinaryMessage = tuple[dict[str, Any], bytes | None]
"""The attributes of an event as headers, and its data; None when it has no parameters."""
_Begun = tuple[float, float, bytes, bytes]
_Started = tuple[Any, float, float, int, bytes, int]
_BinaryStarted = tuple[Any, float, float, int, dict[str, Any], Any, int]


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
    number: int

    @property
    def body(self) -> bytes | None:
        """The JSON text of the parameters."""


class Attributes(NamedTuple):
    """How a protocol names the attributes in its headers.

    `prefix` is that of the names; `encode` makes the value of a header from the text of an attribute. The value of two
    texts, one behind the other, has to be the values of both, one behind the other.
    """

    prefix: str
    encode: Callable[[str], Any] = str


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
        self.moments = Moments()
        """The times of events."""
        self._constants: dict[Any, tuple[bytes, bytes]] = {}
        self._begun: dict[Any, _Begun] = {}
        self._starts: dict[Any, _Started] = {}
        self._started: _Started = (None, 0.0, 0.0, 0, b"", 0)  # the last one
        self._binary: dict[Attributes, Binary] = {}

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
            return self._with_headers(events, ids, carried)
        made: list[bytes] = []
        definition, since, until, block, start, at = self._started
        for event in events:
            number = event.number
            if not number:  # as `number_of`, whose call would take a tenth of the whole
                number = event.number = next(NUMBERS)
            if (
                event.definition is not definition
                or not since <= event.raised_at < until
                or number >> BLOCK_BITS != block
            ):
                definition, since, until, block, start, at = self._start(event, number)
            tail = event.payload[at:]  # the parameters, and the brace that ends the notification
            if tail and (tail.isascii() or _is_utf8(tail)):
                made.append(start + _ENDS[number & _LAST] + tail)
            else:
                made.append(self._special(event))
        return made

    def _with_headers(self, events: Iterable[Raised], ids: Sequence[str] | None, carried: Carried) -> list[bytes]:
        made: list[bytes] = []
        last, more = None, b""
        for index, event in enumerate(events):
            own = None if carried is None else carried[index]
            if own is not last:  # events of one span have the same
                last, more = own, _extensions(own or {})
            made.append(self._special(event, None if ids is None else ids[index], more))
        return made

    def _special(self, event: Raised, own_id: str | None = None, more: bytes = b"") -> bytes:
        """Return an event that has anything that few have; *more* has further members of the object."""
        _, _, begin, bare_begin = self._begin(event)
        body = event.body
        data = b"" if body is None else b',"data":%b' % utf8(body)
        return b"%b%b%b%b}" % (bare_begin if body is None else begin, orjson.dumps(own_id or id_of(event)), more, data)

    def _start(self, event: Raised, number: int) -> _Started:
        """Return what *event* has in common with others of its definition, of its millisecond and of near numbers."""
        definition = event.definition
        found = self._starts.get(definition)
        if found is None or not found[1] <= event.raised_at < found[2] or number >> BLOCK_BITS != found[3]:
            since, until, begin, _ = self._begin(event)
            start = b'%b"%b' % (begin, prefix_of(number).encode())
            found = definition, since, until, number >> BLOCK_BITS, start, len(definition.head)
            self._starts[definition] = found
        self._started = found
        return found

    def _begin(self, event: Raised) -> _Begun:
        """Return what an event begins with, up to the value of the id, with parameters and without, and for when."""
        definition = event.definition
        found = self._begun.get(definition)
        if found is None or not found[0] <= event.raised_at < found[1]:
            since, until, moment = self.moments.of(event.raised_at)
            heads = self._constants.get(definition) or self._constant(definition)
            begin, bare_begin = (b'%b"%b","id":' % (head, moment.encode()) for head in heads)
            found = self._begun[definition] = since, until, begin, bare_begin
        return found

    def binary(self, names: Attributes) -> Binary:
        """Return what makes the headers of CloudEvents in the binary mode, with these names."""
        found = self._binary.get(names)
        if found is None:
            found = self._binary[names] = Binary(self, names)
        return found

    def _constant(self, definition: Definition) -> tuple[bytes, bytes]:
        """Return what the events of *definition* begin with, up to the value of the time."""
        type_, source = orjson.dumps(self.type_of(definition.name)), orjson.dumps(self.source)
        heads = [(_HEAD % (type_.decode(), source.decode(), kind)).encode() for kind in (_JSON, "")]
        found = self._constants[definition] = heads[0], heads[1]
        return found


class Binary:
    """Makes CloudEvents in the binary mode.

    Args:
        envelope: has the attributes.
        names: how the protocol names them.
    """

    def __init__(self, envelope: Envelope, names: Attributes) -> None:
        self._envelope = envelope
        self._prefix, self._encode = names
        self._id = f"{names.prefix}id"
        self._ends = [names.encode(f"{number:02x}") for number in range(BLOCK)]
        self._known: dict[Any, dict[str, Any]] = {}
        self._starts: dict[Any, _BinaryStarted] = {}
        self._started: _BinaryStarted = (None, 0.0, 0.0, 0, {}, None, 0)  # the last one

    def messages(
        self, events: Iterable[Raised], ids: Sequence[str] | None = None, carried: Carried = None
    ) -> list[BinaryMessage]:
        """Return the attributes of each of *events*, except `datacontenttype`, and its data.

        Args:
            events: the events.
            ids: of the events; None for those that the process gives them.
            carried: the headers of the events.
        """
        made: list[BinaryMessage] = []
        id_, ends = self._id, self._ends
        definition, since, until, block, same, prefix, at = self._started
        for event in events:
            number = event.number
            if not number:  # as `number_of`, whose call would take a tenth of the whole
                number = event.number = next(NUMBERS)
            if (
                event.definition is not definition
                or not since <= event.raised_at < until
                or number >> BLOCK_BITS != block
            ):
                definition, since, until, block, same, prefix, at = self._start(event, number)
            headers = same.copy()
            headers[id_] = prefix + ends[number & _LAST]
            data = event.payload[at:-1]
            made.append((headers, data if data.isascii() else utf8(data)) if data else (headers, None))
        if ids is not None or carried is not None:
            for index, (headers, _) in enumerate(made):
                self._adapt(headers, _at(ids, index), _at(carried, index) or {})
        return made

    def _adapt(self, headers: dict[str, Any], own_id: str | None, carried: Mapping[str, str]) -> None:
        """Change the attributes of an event to those that few have."""
        if own_id is not None:
            headers[self._id] = self._encode(own_id)
        headers |= {self._prefix + name: self._encode(carried[name]) for name in EXTENSION if name in carried}

    def _start(self, event: Raised, number: int) -> _BinaryStarted:
        """Return what *event* has in common with others of its definition, of its millisecond and of near numbers."""
        definition = event.definition
        found = self._starts.get(definition)
        if found is None or not found[1] <= event.raised_at < found[2] or number >> BLOCK_BITS != found[3]:
            since, until, moment = self._envelope.moments.of(event.raised_at)
            same = self._known.get(definition) or self._constant(definition)
            prefix = self._encode(prefix_of(number))
            same = {**same, self._id: prefix, f"{self._prefix}time": self._encode(moment)}
            found = definition, since, until, number >> BLOCK_BITS, same, prefix, len(definition.head)
            self._starts[definition] = found
        self._started = found
        return found

    def _constant(self, definition: Definition) -> dict[str, Any]:
        envelope = self._envelope
        texts = {"specversion": VERSION, "type": envelope.type_of(definition.name), "source": envelope.source}
        found = self._known[definition] = {self._prefix + name: self._encode(text) for name, text in texts.items()}
        return found


def in_batch(events: Iterable[bytes]) -> bytes:
    """Return structured CloudEvents in the JSON batch format."""
    return b"[%b]" % b",".join(events)


def _extensions(carried: Mapping[str, str]) -> bytes:
    return b"".join(b',"%b":%b' % (name.encode(), orjson.dumps(carried[name])) for name in EXTENSION if name in carried)


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

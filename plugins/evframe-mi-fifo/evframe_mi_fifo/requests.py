"""From what is read from the FIFO to requests: ``:reply:`` and a JSON value."""

from __future__ import annotations

import re
from typing import Final

import attrs
from evframe_wire.scanning import ValueScanner

_BLANK: Final = re.compile(rb"[ \t\r\n]*")
_HEADER: Final = re.compile(rb":([^:]{0,128}):")
_HALF_HEADER: Final = re.compile(rb":[^:]{0,128}\Z")
_NAME: Final = rb':[^\s:"{}\[\],./\\]{0,127}'
_NEXT: Final = re.compile(_NAME + rb":[ \t\r\n]*\{")
_PERHAPS_NEXT: Final = re.compile(_NAME + rb"(?::[ \t\r\n]{0,128})?\Z")


@attrs.frozen
class Request:
    """One request: the name of the reply's FIFO, empty when no reply is wanted, and the JSON text.

    The text is None when what came is no JSON.
    """

    reply: bytes
    text: bytes | None


class RequestStream:
    """Takes requests out of what is read, however it is cut into pieces.

    What is no request is passed over up to the next one, so that a client with bad manners costs
    the others nothing.

    Args:
        most_bytes: the largest request.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        """The largest request, from now on."""
        self._data = bytearray()
        self._reply = b""
        self._begin = 0
        self._scanner: ValueScanner | None = None

    @property
    def unfinished(self) -> bool:
        """Whether the rest of a request is missing."""
        return bool(self._data)

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that *data* completes."""
        self._data += data
        requests = []
        while self._scanner is not None or self._find_header():
            assert self._scanner is not None
            try:
                end = self._scanner.end(self._data)
            except ValueError:
                requests.append(self._broken())
                continue
            if end is None and len(self._data) - self._begin <= self.most_bytes:
                break
            requests.append(self._complete(end))
        return requests

    def _complete(self, end: int | None) -> Request:
        text = bytes(self._data[self._begin : end])
        # A text whose end was missing ends within the next request.
        swallowed = text.lstrip()[:1] == b'"' and _NEXT.search(text)
        if end is None or len(text) > self.most_bytes or swallowed:
            return self._broken()
        self._drop_to(end)
        return Request(self._reply, text)

    def give_up(self) -> list[Request]:
        """Return what there is when the rest of a request does not come."""
        if self._scanner is None:
            self._data.clear()
            return []
        return [self._broken(), *self.feed(b"")]

    def _find_header(self) -> bool:
        blank = _BLANK.match(self._data)
        self._drop_to(blank.end() if blank else 0)
        found = _HEADER.match(self._data)
        if not found and self._data and not _HALF_HEADER.match(self._data):
            self._pass_over(0)
            found = _HEADER.match(self._data)
        if not found:
            return False
        self._reply = bytes(found[1])
        self._begin = found.end()
        self._scanner = ValueScanner(self._begin)
        return True

    def _broken(self) -> Request:
        self._pass_over(self._begin - 1)  # the colon may be the first one of another request
        return Request(self._reply, None)

    def _pass_over(self, at: int) -> None:
        """Continue with the next request after *at*, or with what may become one."""
        found = _NEXT.search(self._data, at) or _PERHAPS_NEXT.search(self._data, at)
        self._drop_to(found.start() if found else len(self._data))

    def _drop_to(self, at: int) -> None:
        del self._data[:at]
        self._scanner = None

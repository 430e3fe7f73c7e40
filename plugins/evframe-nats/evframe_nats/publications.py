"""The messages of a batch on their way, and what the server says about each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

TOO_LARGE: Final = "too_large"
NACKED: Final = "nacked"
_GOOD: Final = b'{"stream":'
_ERRORS: Final = {10054: TOO_LARGE, 10077: NACKED}
"""What fails a message, by the number of the error: it is larger than the stream takes, or the stream is full."""
_TOO_MANY: Final = 429


class Publication:
    """Messages on their way.

    Args:
        subjects: where each goes; the empty text for one that goes nowhere.
        bodies: of the messages.
        ids: by which a stream recognises a message that it has; None in core NATS.
        carried: further headers of each, if there are any.
    """

    def __init__(
        self,
        subjects: Sequence[str],
        bodies: Sequence[bytes],
        ids: Sequence[str] | None,
        carried: Sequence[Mapping[str, str] | None] | None,
    ) -> None:
        self.subjects = subjects
        self.open = {index for index, subject in enumerate(subjects) if subject}
        self.failures: dict[int, str] = {}
        """Why messages will not be taken."""
        self.later: dict[int, str] = {}
        """Why messages are to be sent again."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bodies = bodies
        self._ids = ids
        self._carried = carried

    def commands(self, reply: bytes, most_bytes: int) -> bytes:
        """Return what publishes the messages; those with more than *most_bytes* fail.

        Args:
            reply: what the reply subject begins with, before the index; empty for no reply.
            most_bytes: how large the headers and the body may be together.
        """
        parts = []
        has_headers = self._ids is not None or self._carried is not None
        for index in sorted(self.open):
            headers = self._headers(index) if has_headers else b""
            body = self._bodies[index]
            size = len(headers) + len(body)
            if size > most_bytes:
                self.failures[index] = TOO_LARGE
                self.open.discard(index)
                continue
            to = b"%b %b%d" % (self.subjects[index].encode(), reply, index) if reply else self.subjects[index].encode()
            if headers:
                parts.append(b"HPUB %b %d %d\r\n%b%b\r\n" % (to, len(headers), size, headers, body))
            else:
                parts.append(b"PUB %b %d\r\n%b\r\n" % (to, size, body))
        self._end()
        return b"".join(parts)

    def _headers(self, index: int) -> bytes:
        own = b"" if self._ids is None else b"Nats-Msg-Id: %b\r\n" % self._ids[index].encode()
        carried = None if self._carried is None else self._carried[index]
        if carried:
            own += b"".join(b"%b: %b\r\n" % (name.encode(), text.encode()) for name, text in carried.items())
        return b"NATS/1.0\r\n%b\r\n" % own if own else b""

    def take(self, index: int, answer: bytes) -> None:
        """Take the answer to a message."""
        if index in self.open:
            self.open.discard(index)
            if not answer.startswith(_GOOD):
                self._refuse(index, answer)
            if not self.open:
                self._end()

    def _refuse(self, index: int, answer: bytes) -> None:
        try:
            error: Mapping[str, Any] = orjson.loads(answer)["error"]
            code, number = int(error["code"]), int(error.get("err_code", 0))
        except (ValueError, LookupError, TypeError):  # somebody else's
            self.failures[index] = "bad_reply"
            return
        if number in _ERRORS or (code < 500 and code != _TOO_MANY):
            self.failures[index] = _ERRORS.get(number, NACKED)
        else:
            self.later[index] = "broker_error"

    def postpone(self, index: int, reason: str) -> None:
        """Have a message be sent again."""
        if index in self.open:
            self.open.discard(index)
            self.later[index] = reason
            self._end()

    def deny(self, subject: str, reason: str) -> None:
        """Fail what goes to a subject, which the server has in lower case."""
        for index in [index for index in self.open if self.subjects[index].lower() == subject]:
            self.open.discard(index)
            self.failures[index] = reason
        self._end()

    def flushed(self) -> None:
        """Take that the server has read all messages."""
        self.open.clear()
        self._end()

    def lost(self, reason: str) -> None:
        """Have what has no answer be sent again."""
        self.later.update(dict.fromkeys(self.open, reason))
        self.open.clear()
        self._end()

    def _end(self) -> None:
        if not self.open and not self.done.done():
            self.done.set_result(None)

"""The messages of a batch, and what the server says about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from evframe_connections import Publication as Messages

from evframe import Batch
from evframe.plugin import UnfitError
from evframe_nats.address import NatsSocket

TOO_LARGE: Final = "too_large"
NACKED: Final = "nacked"
ACCESS_REFUSED: Final = "access_refused"
NO_STREAM: Final = "no_stream"
_MENDABLE: Final = (NACKED, ACCESS_REFUSED)
_LATER: Final = ("broker_error", NO_STREAM)
_GOOD: Final = b'{"stream":'
_ERRORS: Final = {10054: TOO_LARGE, 10077: NACKED}
"""What fails a message, by the number of the error: it is larger than the stream takes, or the stream is full."""
_TOO_MANY: Final = 429


class Publication(Messages):
    """Messages on their way.

    Args:
        target: where they go.
        batch: their events.
        ids: by which a stream recognises a message that it has; None in core NATS.
        carried: further headers of each, if there are any.
    """

    def __init__(
        self,
        target: NatsSocket,
        batch: Batch,
        ids: Sequence[str] | None,
        carried: Sequence[Mapping[str, str] | None] | None,
    ) -> None:
        super().__init__(batch, _MENDABLE, _LATER)
        self.target = target
        self.subjects = [target.subject] * len(batch.events)
        if target.template is not None:
            for index, event in enumerate(batch.events):
                try:
                    self.subjects[index] = target.subject_for(event)
                except UnfitError as error:
                    self.fail(index, error.reason)
        self._ids = ids
        self._carried = carried

    def commands(self, reply: bytes, most_bytes: int) -> bytes:
        """Return what publishes the messages; those with more than *most_bytes* fail.

        Args:
            reply: what the reply subject begins with, before the index; empty for no reply.
            most_bytes: how large the headers and the body may be together.
        """
        parts = []
        events, ids, carried = self._batch.events, self._ids, self._carried
        for index in sorted(self.open):
            headers = b""
            if ids is not None:
                headers = b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % ids[index].encode()
            if carried is not None and carried[index]:
                headers = self._headers(index)
            body = events[index].payload
            size = len(headers) + len(body)
            if size > most_bytes:
                self.fail(index, TOO_LARGE)
                continue
            to = self.subjects[index].encode()
            if reply:
                to = b"%b %b%d" % (to, reply, index)
            if headers:
                parts.append(b"HPUB %b %d %d\r\n%b%b\r\n" % (to, len(headers), size, headers, body))
            else:
                parts.append(b"PUB %b %d\r\n%b\r\n" % (to, size, body))
        return b"".join(parts)

    def _headers(self, index: int) -> bytes:
        fields = [] if self._ids is None else [("Nats-Msg-Id", self._ids[index])]
        fields += ((self._carried[index] if self._carried is not None else None) or {}).items()
        lines = [b"%b: %b\r\n" % (name.encode(), text.encode()) for name, text in fields]
        return b"NATS/1.0\r\n%b\r\n" % b"".join(lines)

    def take(self, indexes: Sequence[bytes], answers: Sequence[bytes]) -> None:
        """Take the answers to messages."""
        good = [answer.startswith(_GOOD) for answer in answers]
        if all(good):
            self.settle(*map(int, indexes))
            return
        for index, answer, is_good in zip(indexes, answers, good, strict=True):
            if is_good:
                self.settle(int(index))
            else:
                self.fail(int(index), _reason_of(answer))

    def deny(self, subject: str) -> None:
        """Fail what goes to a subject, which the server has in lower case."""
        for index in [index for index in self.open if self.subjects[index].lower() == subject]:
            self.fail(index, ACCESS_REFUSED)

    def flushed(self) -> None:
        """Take that the server has read all messages."""
        self.settle(*self.open)

    def unroutable(self, subject: str) -> None:
        """Fail what goes to a subject that no stream has."""
        for index in [index for index, reason in self.later.items() if reason == NO_STREAM]:
            if self.subjects[index] == subject:
                del self.later[index]
                self.failures[index] = "unroutable"


def _reason_of(answer: bytes) -> str:
    """Return what an answer that is no acknowledgement means."""
    try:
        error: Mapping[str, Any] = orjson.loads(answer)["error"]
        code, number = int(error["code"]), int(error.get("err_code", 0))
    except (ValueError, LookupError, TypeError):  # somebody else's
        return "bad_reply"
    if number in _ERRORS or (code < 500 and code != _TOO_MANY):
        return _ERRORS.get(number, NACKED)
    return "broker_error"

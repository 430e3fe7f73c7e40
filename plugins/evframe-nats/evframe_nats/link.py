"""A connection on which batches are published, each with an acknowledgement of every message."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

import orjson
from evframe_nats_clients.connection import NatsConnection
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from evframe import Unavailable
from evframe_nats.publications import Publication

NO_STREAM: Final = "no_stream"
ACCESS_REFUSED: Final = "access_refused"
_DENIED: Final = re.compile(r'permissions violation for publish to "(.*)"')
_NO_RESPONDERS: Final = b"NATS/1.0 503"
_NAMES: Final = b"$JS.API.STREAM.NAMES"


class _Acknowledgements(Parser):
    """Takes runs of acknowledgements at once: the library would take each of them through several coroutines.

    Args:
        connection: whose parser this is.
        link: gets the acknowledgements.
        inbox: what the subjects of acknowledgements begin with.
    """

    def __init__(self, connection: NatsConnection, link: Link, inbox: bytes) -> None:
        super().__init__(connection)
        self._link = link
        begin = re.escape(b"MSG " + inbox)
        one = begin + rb"%b_%b 1 %b\r\n%b\r\n"  # an answer is JSON, in which no line ends
        self._run = re.compile(b"(?:" + one % (rb"\d+", rb"\d+", rb"\d+", rb"[^\r]*") + b")*")
        self._one = re.compile(one % (rb"(\d+)", rb"(\d+)", rb"(\d+)", rb"([^\r]*)"))
        self._head = re.compile(begin + rb"\d+_\d+ 1 (\d+)\r\n")

    async def parse(self, data: bytes = b"") -> None:
        """Take what the server has sent."""
        self.buf.extend(data)
        if self.state == AWAITING_CONTROL_LINE:
            end = self._run.match(self.buf).end()  # type: ignore[union-attr] # an empty run matches, too
            if end:
                found = self._one.findall(self.buf, 0, end)
                if all(int(size) == len(answer) for _, _, size, answer in found):
                    del self.buf[:end]
                    self._link.acknowledged([(number, index, answer) for number, index, _, answer in found])
                # else an application with the subject has answered in lines, which the library reads by their length
            head = self._head.match(self.buf)
            if head is not None and len(self.buf) < head.end() + int(head[1]) + len(b"\r\n"):
                return  # the rest of an acknowledgement is still to come
            del head  # which holds the buffer, so that nothing could be taken from it
        await super().parse()


class Link:
    """Publishes on one connection.

    Args:
        inbox: what the reply subjects begin with.
    """

    def __init__(self, inbox: str) -> None:
        self._inbox = inbox.encode() + b"."
        self._connection: NatsConnection | None = None
        self._sent: dict[bytes, Publication] = {}
        self._answers: dict[bytes, asyncio.Future[bytes]] = {}
        self._count = 0
        self.is_retired = False

    def begin(self, connection: NatsConnection) -> None:
        """Use *connection*, which is logged in."""
        self._connection = connection
        connection._ps = _Acknowledgements(connection, self, self._inbox)  # noqa: SLF001 the library has no other way
        connection.write(b"SUB %b* 1\r\n" % self._inbox)
        connection.ended.add_done_callback(self._lost)

    @property
    def connection(self) -> NatsConnection:
        """The connection."""
        assert self._connection is not None
        return self._connection

    @property
    def is_usable(self) -> bool:
        """Whether messages can be published on it."""
        connection = self.connection
        return not (self.is_retired or connection.is_leaving or connection.ended.done())

    @property
    def under_way(self) -> list[Publication]:
        """What has no outcome yet."""
        return list(self._sent.values())

    def publish(self, publication: Publication, *, core: bool) -> None:
        """Send the messages; with *core*, without asking for acknowledgements."""
        number = b"%d" % self._count
        self._count += 1
        self._sent[number] = publication
        publication.done.add_done_callback(lambda _: self._sent.pop(number, None))
        reply = b"" if core else b"%b%b_" % (self._inbox, number)
        self.connection.write(publication.commands(reply, self.connection.max_payload))

    async def confirmed(self, publication: Publication, timeout_s: float, *, core: bool) -> None:
        """Wait until every message has its outcome, or is to be sent again."""
        if core:
            try:
                await self.connection.flushed(timeout_s)
            except Unavailable as error:
                self.end(error.reason)
            else:
                publication.flushed()
            return
        await asyncio.wait((publication.done,), timeout=timeout_s)
        if not publication.done.done():
            publication.lost("confirm_timeout")
            try:
                await self.connection.flushed(min(1.0, timeout_s))  # the stream may be at fault, not the connection
            except Unavailable as error:
                self.end(error.reason)

    def acknowledged(self, found: list[tuple[bytes, bytes, bytes]]) -> None:
        """Take answers: numbers of publications, indexes, and texts."""
        for number, index, answer in found:
            publication = self._sent.get(number)
            if publication is not None:
                publication.take(int(index), answer)
            elif number in self._answers:
                self._answers.pop(number).set_result(answer)

    def receive(self, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:  # noqa: ARG002 an answer wants none
        """Take what is no run of acknowledgements: an answer alone, or that no stream has the subject."""
        number, _, index = subject.removeprefix(self._inbox).partition(b"_")
        if headers is None or not headers.startswith(_NO_RESPONDERS):
            self.acknowledged([(number, index, data)])
        elif number in self._sent:
            self._sent[number].postpone(int(index), NO_STREAM)
        elif number in self._answers:
            self._answers.pop(number).set_result(b"")

    def denied(self, text: str) -> None:
        """Take that the server denies something, which *text* says in lower case."""
        found = _DENIED.search(text)
        if found is None:  # the subscription to the answers
            self.end(ACCESS_REFUSED)
            return
        for publication in self.under_way:
            publication.deny(found[1], ACCESS_REFUSED)

    async def has_stream(self, subject: str, timeout_s: float) -> bool | None:
        """Return whether a stream has *subject*; None if the server does not say."""
        number = b"%d" % self._count
        self._count += 1
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        body = orjson.dumps({"subject": subject})
        self.connection.write(b"PUB %b %b%b_0 %d\r\n%b\r\n" % (_NAMES, self._inbox, number, len(body), body))
        await asyncio.wait((answer,), timeout=timeout_s)
        self._answers.pop(number, None)
        if not answer.done():
            return None
        try:
            found: Any = orjson.loads(answer.result())
            return bool(found["streams"]) if "error" not in found else None
        except (ValueError, LookupError, TypeError):
            return False if not answer.result() else None  # no JetStream for this user

    def end(self, reason: str) -> None:
        """End the connection: what has no acknowledgement is sent again."""
        self.connection.end(reason)

    def _lost(self, ended: asyncio.Future[str]) -> None:
        for publication in self.under_way:
            publication.lost(ended.result())

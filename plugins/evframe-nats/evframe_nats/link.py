"""A connection on which batches are published, each with an acknowledgement of every message."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import orjson
from evframe_connections import PublishingLink
from evframe_nats_clients.connection import NatsConnection
from evframe_nats_clients.inbox import Inbox
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from evframe import Unavailable
from evframe_nats.address import NatsSocket
from evframe_nats.publications import ACCESS_REFUSED, NO_STREAM, Publication

Answer = tuple[bytes, bytes, bytes, bytes]
"""The number of a publication, the index of a message, and the length and the text of the answer."""
_DENIED: Final = re.compile(r'permissions violation for publish to "(.*)"')
_REPLY: Final = re.compile(rb"(\d+)_(\d+)")
_NO_RESPONDERS: Final = b"NATS/1.0 503"
_NAMES: Final = "$JS.API.STREAM.NAMES"
_LOOK_S: Final = 1.0


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
                if [int(size) for _, _, size, _ in found] == [len(answer) for _, _, _, answer in found]:
                    del self.buf[:end]
                    self._link.acknowledged(found)
                # else an application with the subject has answered in lines, which the library reads by their length
            head = self._head.match(self.buf)
            if head is not None and len(self.buf) < head.end() + int(head[1]) + len(b"\r\n"):
                return  # the rest of an acknowledgement is still to come
            del head  # which holds the buffer, so that nothing could be taken from it
        await super().parse()


class Link(PublishingLink):
    """Publishes on one connection.

    Args:
        inbox_prefix: what the subjects of answers begin with.
        timeout_s: how long the server may take to acknowledge a batch.
    """

    def __init__(self, inbox_prefix: str, timeout_s: float) -> None:
        super().__init__()
        self._inbox = Inbox(inbox_prefix)
        self._timeout_s = timeout_s
        self._connection: NatsConnection | None = None

    def begin(self, connection: NatsConnection) -> None:
        """Use *connection*, which is logged in."""
        self._connection = connection
        connection._ps = _Acknowledgements(connection, self, self._inbox.subject)  # noqa: SLF001 the library has no other way
        self._inbox.subscribe(connection)
        connection.ended.add_done_callback(lambda ended: self.lost(ended.result()))

    @property
    def connection(self) -> NatsConnection:
        """The connection."""
        assert self._connection is not None
        return self._connection

    @property
    def ip(self) -> str:
        """The address of the server."""
        return self.connection.address

    @property
    def is_open(self) -> bool:
        """Whether messages can be published on it."""
        return not (self.connection.is_leaving or self.connection.ended.done())

    async def publish(self, publication: Publication) -> None:
        """Send the messages; in core NATS, without asking for acknowledgements."""
        number = self._add(publication)
        reply = b"" if publication.target.core else b"%b%d_" % (self._inbox.subject, number)
        self.connection.write(publication.commands(reply, self.connection.max_payload))

    async def confirmed(self, publication: Publication) -> None:
        """Wait until every message has its outcome, or is to be sent again."""
        if publication.target.core:
            if await self._flushed(self._timeout_s):
                publication.flushed()
            return
        await asyncio.wait((publication.done,), timeout=self._timeout_s)
        if not publication.done.done():
            publication.lost("confirm_timeout")
            await self._flushed(min(_LOOK_S, self._timeout_s))  # the stream may be at fault, not the connection
        if publication.target.template is not None:
            # A subject that an event makes may never have a stream, which must not hold up the events behind it.
            homeless = [index for index, reason in publication.later.items() if reason == NO_STREAM]
            for subject in {publication.subjects[index] for index in homeless}:
                if await self._has_stream(subject) is False:
                    publication.unroutable(subject)

    async def _flushed(self, timeout_s: float) -> bool:
        """Return whether the server has read all that was written; the connection ends if it has not."""
        try:
            await self.connection.flushed(timeout_s)
        except Unavailable as error:
            self.connection.end(error.reason)
            return False
        return True

    async def probe(self, target: NatsSocket) -> None:
        """Return when the server answers, and a stream has the subject.

        Raises:
            Unavailable: otherwise.
        """
        await self.connection.flushed(self._timeout_s)
        is_known = target.template is None and not target.core
        if is_known and await self._has_stream(target.subject) is False:
            raise Unavailable(NO_STREAM)

    async def _has_stream(self, subject: str) -> bool | None:
        """Return whether a stream has *subject*; None if the server does not say."""
        body = orjson.dumps({"subject": subject})
        try:
            found = await self._inbox.ask(self.connection, _NAMES, body, min(_LOOK_S, self._timeout_s))
            if found is None:  # no JetStream for this user
                return False
            return bool(found["streams"]) if "error" not in found else None
        except (Unavailable, LookupError, TypeError):
            return None

    def acknowledged(self, found: Sequence[Answer]) -> None:
        """Take answers to messages."""
        for number, answers in groupby(found, itemgetter(0)):
            publication = self._publications.get(int(number))
            if publication is not None:
                _, indexes, _, texts = zip(*answers, strict=True)
                publication.take(indexes, texts)

    def receive(self, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:  # noqa: ARG002 an answer wants none
        """Take what is no run of acknowledgements: an answer alone, or that no stream has the subject."""
        is_status = headers is not None and headers.startswith(_NO_RESPONDERS)
        found = _REPLY.fullmatch(subject, len(self._inbox.subject))
        if found is None:
            self._inbox.take(subject, data, is_status=is_status)
        elif is_status and int(found[1]) in self._publications:
            self._publications[int(found[1])].fail(int(found[2]), NO_STREAM)
        else:
            self.acknowledged([(found[1], found[2], b"", data)])

    def denied(self, text: str) -> None:
        """Take that the server denies something, which *text* says in lower case."""
        found = _DENIED.search(text)
        if found is None:  # the subscription to the answers
            self.connection.end(ACCESS_REFUSED)
            return
        for publication in list(self._publications.values()):
            publication.deny(found[1])

    async def close(self) -> None:
        """End the connection: what has no acknowledgement is sent again."""
        self.cut()

    def cut(self) -> None:
        """As `close`."""
        self.connection.end("closed")

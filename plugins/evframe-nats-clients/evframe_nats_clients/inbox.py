"""Requests on a connection, and the subjects to which their answers come."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Any

import orjson

from evframe import Unavailable
from evframe_nats_clients.connection import NatsConnection


class Inbox:
    """Requests on one connection, and their answers.

    Args:
        prefix: what the subjects begin with.
    """

    def __init__(self, prefix: str) -> None:
        self.subject = f"{prefix}.{secrets.token_urlsafe(16)}.".encode()
        """What the subjects of this connection begin with."""
        self._answers: dict[bytes, asyncio.Future[Any]] = {}
        self._count = 0

    def subscribe(self, connection: NatsConnection) -> None:
        """Have the server send answers over *connection*."""
        connection.write(b"SUB %b* 1\r\n" % self.subject)

    def next_reply(self) -> bytes:
        """Return a subject for an answer."""
        self._count += 1
        return b"%b%d" % (self.subject, self._count)

    def take(self, reply: bytes, data: bytes, *, is_status: bool) -> bool:
        """Take what comes to a subject; return whether it was waited for. A status is that nothing can answer."""
        answer = self._answers.get(reply)
        if answer is not None and not answer.done():
            with suppress(ValueError):
                answer.set_result(None if is_status else orjson.loads(data))
        return answer is not None

    async def ask(self, connection: NatsConnection, subject: str, body: bytes, limit_s: float) -> Any:
        """Return the answer to a request, from JSON; None when nothing can answer.

        Raises:
            Unavailable: if there is none after *limit_s* seconds, or the connection ends.
        """
        answer = asyncio.get_running_loop().create_future()
        reply = self.next_reply()
        self._answers[reply] = answer
        connection.write(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply, len(body), body))
        await asyncio.wait((answer, connection.ended), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        del self._answers[reply]
        if not answer.done():
            raise Unavailable(connection.ended.result() if connection.ended.done() else "timeout")
        return answer.result()

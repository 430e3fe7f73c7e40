"""Requests to JetStream: what a consumer is, and another one where there is none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import attrs
import orjson
from evframe_nats_clients.connection import NatsConnection

from evframe import Unavailable
from evframe_nats_consumer.options import ConnectionOptions

NO_CONSUMER: Final = "no_consumer"
NO_STREAM: Final = "no_stream"
_BAD: Final = "bad_reply"
_REASONS: Final = {10059: NO_STREAM, 10014: NO_CONSUMER}
_NS: Final = 1_000_000_000


@attrs.frozen
class PullConsumer:
    """What has to be known of a consumer."""

    created: str
    """When it was made: another one of the name has other messages with the same numbers."""
    wait_s: float
    """When a message without a sign of life comes again."""

    @classmethod
    def of(cls, answer: dict[str, Any]) -> PullConsumer:
        """Return what the server says in *answer*.

        Raises:
            Unavailable: if it cannot be used.
        """
        try:
            config, created = answer["config"], str(answer["created"])
            if config["ack_policy"] != "explicit" or config.get("deliver_subject"):
                raise Unavailable("no_pull_consumer")  # an answer to one message would be one to others
            wait_s = min(wait_ns / _NS for wait_ns in (config["ack_wait"], *(config.get("backoff") or ())))
        except (LookupError, TypeError, AttributeError):
            raise Unavailable(_BAD) from None
        return cls(created, wait_s)


class Requests:
    """Requests on one connection, and their answers.

    Args:
        inbox: what the subjects of the answers begin with.
        options: of the connection.
    """

    def __init__(self, inbox: bytes, options: ConnectionOptions) -> None:
        self._inbox = inbox
        self._options = options
        self._answers: dict[bytes, asyncio.Future[Any]] = {}
        self._count = 0

    def next_reply(self) -> bytes:
        """Return a subject for an answer."""
        self._count += 1
        return b"%b%d" % (self._inbox, self._count)

    def take(self, reply: bytes, data: bytes, *, is_status: bool) -> bool:
        """Take what comes to a subject; return whether it was waited for. A status is that nothing can answer."""
        answer = self._answers.get(reply)
        if answer is not None and not answer.done():
            with suppress(ValueError):
                answer.set_result({"error": {"err_code": 10059}} if is_status else orjson.loads(data))
        return answer is not None

    async def consumer(self, connection: NatsConnection) -> PullConsumer:
        """Return the consumer, which is made if it may be.

        Raises:
            Unavailable: if there is none that can be used.
        """
        options, place = self._options, f"{self._options.stream}.{self._options.consumer}"
        try:
            return PullConsumer.of(await self._ask(connection, f"$JS.API.CONSUMER.INFO.{place}", b""))
        except Unavailable as error:
            if error.reason != NO_CONSUMER or not options.declare:
                raise
        config = {
            "durable_name": options.consumer,
            "ack_policy": "explicit",
            "ack_wait": options.ack_wait_ms * 1_000_000,
            "deliver_policy": options.deliver,
            "max_ack_pending": max(1000, options.prefetch),
            "filter_subject": options.subject or "",
        }
        body = orjson.dumps({"stream_name": options.stream, "config": config, "action": "create"})
        return PullConsumer.of(await self._ask(connection, f"$JS.API.CONSUMER.DURABLE.CREATE.{place}", body))

    async def _ask(self, connection: NatsConnection, subject: str, body: bytes) -> dict[str, Any]:
        answer = asyncio.get_running_loop().create_future()
        reply = self.next_reply()
        self._answers[reply] = answer
        connection.write(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply, len(body), body))
        limit_s = self._options.login_timeout_ms / 1000
        await asyncio.wait((answer, connection.ended), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        del self._answers[reply]
        if not answer.done():
            raise Unavailable(connection.ended.result() if connection.ended.done() else "timeout")
        found = answer.result()
        error = found.get("error", {}) if isinstance(found, dict) else None
        if not isinstance(error, dict):
            raise Unavailable(_BAD)
        if error:
            raise Unavailable(_REASONS.get(error.get("err_code", 0), "broker_error"))
        return dict(found)

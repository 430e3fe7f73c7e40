"""Requests to JetStream: what a consumer is, and another one where there is none."""

from __future__ import annotations

from typing import Any, Final

import attrs
import orjson
from evframe_nats_clients.connection import NatsConnection
from evframe_nats_clients.inbox import Inbox

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
    def of(cls, answer: Any) -> PullConsumer:
        """Return what the server says in *answer*; None is that nothing answers.

        Raises:
            Unavailable: if it cannot be used.
        """
        if answer is None:
            raise Unavailable(NO_STREAM)
        error = answer.get("error", {}) if isinstance(answer, dict) else None
        if not isinstance(error, dict):
            raise Unavailable(_BAD)
        if error:
            raise Unavailable(_REASONS.get(error.get("err_code", 0), "broker_error"))
        try:
            config, created = answer["config"], str(answer["created"])
            if config["ack_policy"] != "explicit" or config.get("deliver_subject"):
                raise Unavailable("no_pull_consumer")  # an answer to one message would be one to others
            wait_s = min(wait_ns / _NS for wait_ns in (config["ack_wait"], *(config.get("backoff") or ())))
        except (LookupError, TypeError, AttributeError):
            raise Unavailable(_BAD) from None
        return cls(created, wait_s)


async def pull_consumer(inbox: Inbox, connection: NatsConnection, options: ConnectionOptions) -> PullConsumer:
    """Return the consumer, which is made if it may be.

    Raises:
        Unavailable: if there is none that can be used.
    """
    place = f"{options.stream}.{options.consumer}"
    limit_s = options.login_timeout_ms / 1000
    try:
        return PullConsumer.of(await inbox.ask(connection, f"$JS.API.CONSUMER.INFO.{place}", b"", limit_s))
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
    return PullConsumer.of(await inbox.ask(connection, f"$JS.API.CONSUMER.DURABLE.CREATE.{place}", body, limit_s))

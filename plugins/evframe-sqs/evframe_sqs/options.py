"""The options of the transport: the table ``[plugins.sqs]``."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs
from evframe_aws_clients import AwsOptions
from evframe_options import matching

from evframe.plugin import within
from evframe_sqs.address import named_url

MOST_REQUESTS: Final = 64
MOST_BYTES: Final = 1 << 20
_GROUP: Final = r"[!-~]{1,128}"


def _queues(_: Any, attribute: attrs.Attribute[Any], value: list[str]) -> None:
    names = set()
    for text in value:
        try:
            name, _url = named_url(text)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None
        if name in names:
            raise ValueError(f"{attribute.name}: expected each name once, got [{name}] twice")
        names.add(name)


@attrs.frozen
class Options(AwsOptions):
    """Where queues are, and how events become messages."""

    queue_url: list[str] = attrs.field(factory=list, validator=_queues)
    """Names of queues, each as ``[name]url``: the socket ``sqs:name`` stands for the URL."""
    body: Literal["payload", "parameter"] = "payload"
    """What a message has: the JSON-RPC notification, or the text of the first parameter, as OpenSIPS intends."""
    message_group: str | None = attrs.field(default=None, validator=matching(_GROUP, "1 to 128 characters of ASCII"))
    """The group of the messages in a FIFO queue; the name of the queue without it."""
    max_bytes: int = attrs.field(default=MOST_BYTES, validator=within(1024, MOST_BYTES))
    """How large a message with its attributes may be, and a batch of them together: what the queue takes."""
    max_in_flight: int = attrs.field(default=1, validator=within(1, MOST_REQUESTS))
    """How many requests of a subscriber may be under way, each with up to ten messages; with more than one, messages
    may overtake each other. A FIFO queue has one."""

    @property
    def named(self) -> dict[str, str]:
        """The URLs of the queues by their names."""
        return dict(map(named_url, self.queue_url))

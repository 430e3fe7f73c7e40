"""The options of the transport: the table ``[plugins.sqs]``."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs
from evframe_options import matching

from evframe.plugin import at_least, file_digests, secret, within
from evframe_sqs.address import named_url

MOST_REQUESTS: Final = 64
MOST_BYTES: Final = 1 << 20
_REGION: Final = r"[a-z0-9-]+"
_ENDPOINT: Final = r"https?://[^/?#@]+"
_GROUP: Final = r"[!-~]{1,128}"
_IS_SECRET: Final = secret()


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
class Options:
    """Where queues are, and how events become messages."""

    queue_url: list[str] = attrs.field(factory=list, validator=_queues)
    """Names of queues, each as ``[name]url``: the socket ``sqs:name`` stands for the URL."""
    region: str | None = attrs.field(default=None, validator=matching(_REGION, "a region such as 'eu-central-1'"))
    """The region that requests are signed for; that in the URL without it, or else that of the usual configuration of
    AWS."""
    endpoint_url: str | None = attrs.field(default=None, validator=matching(_ENDPOINT, "https://host[:port]"))
    """Where requests are sent, as ``https://host[:port]``, in place of the host of the queue."""
    profile: str | None = None
    """The profile of the usual configuration of AWS."""
    access_key_id: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """The key that requests are signed with; without it, the credentials are looked for as AWS describes."""
    secret_access_key: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """The secret of that key."""
    session_token: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """The token of a key that ends."""
    body: Literal["payload", "parameter"] = "payload"
    """What a message has: the JSON-RPC notification, or the text of the first parameter, as OpenSIPS intends."""
    message_group: str | None = attrs.field(default=None, validator=matching(_GROUP, "1 to 128 characters of ASCII"))
    """The group of the messages in a FIFO queue; the name of the queue without it."""
    max_bytes: int = attrs.field(default=MOST_BYTES, validator=within(1024, MOST_BYTES))
    """How large a message with its attributes may be, and a batch of them together: what the queue takes."""
    max_in_flight: int = attrs.field(default=1, validator=within(1, MOST_REQUESTS))
    """How many requests of a subscriber may be under way, each with up to ten messages; with more than one, messages
    may overtake each other. A FIFO queue has one."""
    timeout_ms: int = attrs.field(default=10_000, validator=at_least(1))
    """How long a request may take until its answer is read, with the look-up of credentials."""
    connect_timeout_ms: int = attrs.field(default=3000, validator=at_least(1))
    """How long making a connection may take, once the name is looked up."""
    ca_file: str | None = None
    """The certificates that ``https:`` trusts; those of the usual configuration of AWS without it."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file")

    def __attrs_post_init__(self) -> None:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id: expected it and secret_access_key, or neither")

    @property
    def named(self) -> dict[str, str]:
        """The URLs of the queues by their names."""
        return dict(map(named_url, self.queue_url))

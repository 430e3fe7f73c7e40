"""The options that transports to services of AWS have in common."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs
from evframe_options import matching

from evframe.plugin import at_least, file_digests, secret

_REGION: Final = r"[a-z0-9-]+"
_ENDPOINT: Final = r"https?://[^/?#@]+"
_IS_SECRET: Final = secret()


@attrs.frozen
class AwsOptions:
    """Where a service is, what requests are signed with, and how long they may take."""

    is_described_with_each: ClassVar = True

    region: str | None = attrs.field(default=None, validator=matching(_REGION, "a region such as 'eu-central-1'"))
    """The region that requests are signed for; that in the URL without it, or else that of the usual configuration of
    AWS."""
    endpoint_url: str | None = attrs.field(default=None, validator=matching(_ENDPOINT, "https://host[:port]"))
    """Where requests are sent, as ``https://host[:port]``, in place of the host of the URL."""
    profile: str | None = None
    """The profile of the usual configuration of AWS."""
    access_key_id: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """The key that requests are signed with; without it, the credentials are looked for as AWS describes."""
    secret_access_key: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """The secret of that key."""
    session_token: str | None = attrs.field(default=None, repr=False, metadata=_IS_SECRET)
    """The token of a key that ends."""
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

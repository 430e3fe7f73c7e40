"""Who may open a stream: a client with the token, and no web page of others."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from evframe_http import Guard, OriginGuard
from evframe_http.origin import cors_headers

from evframe_live.options import LiveOptions

COOKIE: Final = "evframe_token"
"""The cookie that may have the token."""
PROTOCOL: Final = "evframe.token."
"""What a subprotocol of a WebSocket begins with that has the token, in base64url without padding."""
PARAMETER: Final = "access_token"
"""The parameter of the query that may have it."""


@attrs.frozen
class Asking:
    """What a request says about where it comes from."""

    hosts: Sequence[str]
    origin: str | None
    site: str | None
    authorization: str | None
    tokens: Sequence[str | None]
    """What it has in places where web pages can put a token; None for a place without one."""


@attrs.frozen
class Refusal:
    """Why a request is not answered."""

    status: int
    problem: str


class Access:
    """The rules, as the options say.

    Args:
        options: of the plugin; the file with the token is read now.
        log: of the plugin.

    Raises:
        ValueError: if the file cannot be used.
        OSError: if the certificate cannot.
    """

    def __init__(self, options: LiveOptions, log: logging.Logger) -> None:
        self.options = options
        self.guard = Guard(options.credentials, log)
        """Compares the token."""
        host = None if options.target is None else options.target[0]
        self._origins = OriginGuard(host, options.hosts, options.origins)
        self.tls: ssl.SSLContext | None = options.tls()
        """What connections are encrypted with, or None."""

    def refuse(self, asking: Asking) -> Refusal | None:
        """Return why a stream may not be opened, or None."""
        is_known = self._knows(asking)
        problem = self._origins.problem(asking.hosts, asking.origin, asking.site, is_known=is_known and self.guard.asks)
        if problem is not None:
            return Refusal(403, problem)
        return None if is_known else Refusal(401, "expected the token")

    def _knows(self, asking: Asking) -> bool:
        if asking.authorization is not None or not any(asking.tokens):
            return self.guard.allows(asking.authorization)
        return any([self.guard.allows(f"Bearer {token}") for token in asking.tokens if token])  # noqa: C419 all are compared

    def permits(self, origin: str | None) -> bool:
        """Return whether the web page of another server may make requests."""
        return origin is not None and self._origins.permits(origin)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return the headers that let a web page of another server read an answer, if it may."""
        if origin is None or not self.permits(origin):
            return {}
        return cors_headers(origin) | {"Access-Control-Allow-Credentials": "true"}

"""Who may open a stream: a client with the token, and no web page of others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from evframe_http import Access as ServerAccess
from evframe_http import Asking, Refused
from evframe_http.origin import cors_headers

from evframe_live.options import LiveOptions

COOKIE: Final = "evframe_token"
"""The cookie that may have the token."""
PROTOCOL: Final = "evframe.token."
"""What a subprotocol of a WebSocket begins with that has the token, in base64url without padding."""
PARAMETER: Final = "access_token"
"""The parameter of the query that may have it."""


class Access(ServerAccess[LiveOptions]):
    """The rules of streams; see `evframe_http.Access`."""

    def __init__(self, options: LiveOptions, log: logging.Logger) -> None:
        super().__init__(options, log, options.origins)

    def check(self, asking: Asking) -> None:
        """Raise `Refused` unless a stream may be opened."""
        is_known = self._knows(asking)
        problem = self.problem(asking, is_known=is_known and self.guard.asks)
        if problem is not None:
            raise Refused(403, problem)
        if not is_known:
            raise Refused(401, "expected the token")

    def _knows(self, asking: Asking) -> bool:
        if asking.authorization is not None or not any(asking.tokens):
            return self.guard.allows(asking.authorization)
        return any([self.guard.allows(f"Bearer {token}") for token in asking.tokens if token])  # noqa: C419 all are compared

    def permits(self, origin: str | None) -> bool:
        """Return whether the web page of another server may make requests."""
        return origin is not None and self.origins.permits(origin)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """Return the headers that let a web page of another server read an answer, if it may."""
        if origin is None or not self.permits(origin):
            return {}
        return cors_headers(origin) | {"Access-Control-Allow-Credentials": "true"}

"""Who may read the page, and who may act."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence

import attrs
from evframe_http import Guard, OriginGuard
from evframe_http.origin import is_same_origin

from evframe_web.options import Options

log = logging.getLogger("evframe.web")
READ_ONLY = "the page is read-only: no token is configured"


@attrs.frozen
class Asking:
    """What a request says about where it comes from."""

    hosts: Sequence[str]
    origin: str | None
    site: str | None
    authorization: str | None


@attrs.frozen
class Refusal:
    """Why a request is not answered."""

    status: int
    problem: str


class Access:
    """The rules, as the options say.

    Args:
        options: of the plugin; the file with the token is read now.

    Raises:
        ValueError: if the file cannot be used.
        OSError: if the certificate cannot.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.guard = Guard(options.credentials, log)
        """Compares the token."""
        self._origins = OriginGuard(options.target[0], options.hosts, ())
        self.tls: ssl.SSLContext | None = options.tls()
        """What connections are encrypted with, or None."""

    def knows(self, asking: Asking) -> bool:
        """Return whether a request has brought the token, of which there is one."""
        return self.guard.asks and self.guard.allows(asking.authorization)

    def refuse_reading(self, asking: Asking) -> Refusal | None:
        """Return why a request may not read, or None."""
        is_known = self.knows(asking)
        problem = self._origins.problem(asking.hosts, asking.origin, asking.site, is_known=is_known)
        if problem is not None:
            return Refusal(403, problem)
        if self.guard.asks and not (is_known or self.options.read_without_token):
            return Refusal(401, "expected the token")
        return None

    def refuse_acting(self, asking: Asking) -> Refusal | None:
        """Return why a request may not act, or None; it has to come from the page itself, with the token."""
        if not self.guard.asks:
            return Refusal(403, READ_ONLY)
        is_known = self.knows(asking)
        problem = self._origins.problem(asking.hosts, asking.origin, asking.site, is_known=is_known)
        if problem is not None:
            return Refusal(403, problem)
        if not is_same_origin(asking.origin, asking.hosts):
            return Refusal(403, "expected the Origin of the page")
        return None if is_known else Refusal(401, "expected the token")

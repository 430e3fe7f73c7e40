"""Who may read the page, and who may act."""

from __future__ import annotations

import logging

from evframe_http import Access as ServerAccess
from evframe_http import Asking, Refused
from evframe_http.origin import is_same_origin

from evframe_web.options import Options

log = logging.getLogger("evframe.web")
READ_ONLY = "the page is read-only: no token is configured"


class Access(ServerAccess[Options]):
    """The rules of the page; see `evframe_http.Access`."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, log)

    def knows(self, asking: Asking) -> bool:
        """Return whether a request has brought the token, of which there is one."""
        return self.guard.asks and self.guard.allows(asking.authorization)

    def check_reading(self, asking: Asking) -> None:
        """Raise `Refused` unless a request may read."""
        is_known = self._checked(asking)
        if self.guard.asks and not (is_known or self.options.read_without_token):
            raise Refused(401, "expected the token")

    def check_acting(self, asking: Asking) -> None:
        """Raise `Refused` unless a request may act; it has to come from the page itself, with the token."""
        if not self.guard.asks:
            raise Refused(403, READ_ONLY)
        is_known = self._checked(asking)
        if not is_same_origin(asking.origin, asking.hosts):
            raise Refused(403, "expected the Origin of the page")
        if not is_known:
            raise Refused(401, "expected the token")

    def _checked(self, asking: Asking) -> bool:
        """Return whether a request that comes from where it may has brought the token."""
        is_known = self.knows(asking)
        problem = self.problem(asking, is_known=is_known)
        if problem is not None:
            raise Refused(403, problem)
        return is_known

"""Loop detection between bridged gateways: no event goes round in a circle.

Every bridge has an id, and lists in the command `opensips:origins` whose events it raises: its own
and those of the bridges that it is attached to, and theirs. A bridge leaves alone a gateway that raises its
own events. Two that find each other in the same moment both do, and try again at different times.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from evframe_client import ManagementError

COMMAND: Final = "opensips:origins"
_NO_SUCH_METHOD: Final = -32601
Call = Callable[..., Awaitable[Any]]


class Loop(Exception):  # noqa: N818 how gateways are configured, not a mistake of one of them
    """Raised when an instance raises events of this very gateway."""


class Origins:
    """The ids of the bridges whose events are raised here."""

    def __init__(self) -> None:
        self.own = secrets.token_hex(8)
        self._behind: dict[str, frozenset[str]] = {}

    def ids(self) -> list[str]:
        """Return all of them, the own one first."""
        return [self.own, *sorted(frozenset().union(*self._behind.values()) - {self.own})]

    async def join(self, instance: str, call: Call) -> bool:
        """Record the ids behind *instance*; return whether it is a bridge.

        Raises:
            Loop: if this bridge is one of them.
            ManagementError: if there is no answer.
        """
        found = await _ask(call)
        if found is None:
            self.leave(instance)
            return False
        news = found != self._behind.get(instance)
        self._behind[instance] = found
        if news and self.own not in found:
            found = await _ask(call) or found  # it may have found this bridge before it had these ids
        if self.own in found:
            self.leave(instance)
            raise Loop("it raises the events of this gateway, which would go round in a circle")
        return True

    def leave(self, instance: str) -> None:
        """Forget the ids behind *instance*."""
        self._behind.pop(instance, None)


async def _ask(call: Call) -> frozenset[str] | None:
    """Return the ids behind an instance; None when it is no bridge."""
    try:
        found = await call(COMMAND)
    except ManagementError as error:
        if error.code == _NO_SUCH_METHOD:
            return None
        raise
    try:
        return frozenset(map(str, found["Origins"]))
    except (KeyError, TypeError):
        raise ValueError(f"{COMMAND}: expected a list of ids, got another answer") from None

"""Raises the events of the registry."""

from __future__ import annotations

from typing import Final

from evframe.plugin import PluginContext
from evframe_usrloc.contacts import Binding
from evframe_usrloc.events import CONTACT_REFRESH, ContactEvent, ContactRefresh

_NAMES: Final = tuple(field.name for field in ContactEvent.__fields__)
_REFRESH: Final = tuple(field.name for field in ContactRefresh.__fields__)


class Announcer:
    """Raises the events, with parameters that are built only when somebody listens."""

    def __init__(self) -> None:
        self.context: PluginContext | None = None
        """Where they are raised; nowhere without one."""

    def address(self, event: str, domain: str, aor: str) -> None:
        """Raise an event about an address."""
        if self.context is not None and self.context.has_subscribers(event):
            self.context.raise_event(event, {"domain": domain, "aor": aor})

    def contact(self, event: str, binding: Binding) -> None:
        """Raise an event about a contact."""
        if self.context is not None and self.context.has_subscribers(event):
            self.context.raise_event(event, dict(zip(_NAMES, binding, strict=False)))

    def refresh(self, binding: Binding, reason: str, req_callid: str | None) -> None:
        """Raise that a contact has to be refreshed."""
        if self.context is not None and self.context.has_subscribers(CONTACT_REFRESH):
            about = dict(zip(_NAMES, binding, strict=False)) | {
                "socket": binding[_NAMES.index("socket")] or None,
                "reason": reason,
                "req_callid": req_callid,
            }
            self.context.raise_event(CONTACT_REFRESH, {name: about[name] for name in _REFRESH})

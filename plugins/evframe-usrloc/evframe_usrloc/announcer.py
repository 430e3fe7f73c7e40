"""The events of the registry: their declarations, and raising them."""

from __future__ import annotations

from typing import Final

from evframe import Parameter
from evframe.plugin import EventCollector, PluginContext
from evframe_usrloc.contacts import Binding

AOR_INSERT: Final = "E_UL_AOR_INSERT"
AOR_DELETE: Final = "E_UL_AOR_DELETE"
CONTACT_INSERT: Final = "E_UL_CONTACT_INSERT"
CONTACT_UPDATE: Final = "E_UL_CONTACT_UPDATE"
CONTACT_DELETE: Final = "E_UL_CONTACT_DELETE"
CONTACT_REFRESH: Final = "E_UL_CONTACT_REFRESH"
LATENCY_UPDATE: Final = "E_UL_LATENCY_UPDATE"

_ADDRESS: Final = {
    "domain": Parameter(str, summary="Table (domain) name."),
    "aor": Parameter(str, summary="Address of record."),
}
_CONTACT: Final = {
    **_ADDRESS,
    "uri": Parameter(str, summary="Contact URI."),
    "received": Parameter(str, summary="Address the registration came from, when different; else null."),
    "path": Parameter(str, summary="Path header; null without one."),
    "qval": Parameter(int, summary="Priority times 1000 (0..1000), -1 when not given."),
    "user_agent": Parameter(str, summary="User-Agent header."),
    "socket": Parameter(str, summary="Local socket, empty when unknown."),
    "bflags": Parameter(int, summary="Contact flag bit mask."),
    "expires": Parameter(int, summary="Unix time of expiry; 0 = permanent."),
    "callid": Parameter(str, summary="Call-ID of the registration."),
    "cseq": Parameter(int, summary="CSeq of the registration."),
    "attr": Parameter(str, summary="Custom attributes, empty when none."),
    "latency": Parameter(int, summary="Last ping round trip in microseconds, 0 before the first."),
    "shtag": Parameter(str, summary="Sharing tag, empty when none."),
}
_NAMES: Final = tuple(_CONTACT)
_REFRESH: Final = {
    name: parameter for name, parameter in _CONTACT.items() if name not in {"path", "qval", "cseq", "latency"}
} | {
    "socket": Parameter(str, summary="Local socket; null when unknown."),
    "reason": Parameter(str, summary="reg-refresh, ini-METHOD or mid-METHOD."),
    "req_callid": Parameter(str, summary="Call-ID of the triggering request; null for reg-refresh."),
}


def declare(collector: EventCollector) -> None:
    """Declare the events."""
    collector.add(AOR_INSERT, _ADDRESS, summary="An address of record got its first contact.")
    collector.add(AOR_DELETE, _ADDRESS, summary="An address of record has lost its last contact.")
    collector.add(CONTACT_INSERT, _CONTACT, summary="A contact was added.")
    collector.add(CONTACT_UPDATE, _CONTACT, summary="A contact was registered again.")
    collector.add(CONTACT_DELETE, _CONTACT, summary="A contact was removed, or has expired.")
    collector.add(
        CONTACT_REFRESH, _REFRESH, summary="A contact with push notification has to be woken, to register again."
    )
    collector.add(LATENCY_UPDATE, _CONTACT, summary="A ping was answered, and its round trip passes the limits.")


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

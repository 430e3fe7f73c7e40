"""The events that the plugin raises."""

from __future__ import annotations

from typing import Final

from evframe import EventType, param

AOR_INSERT: Final = "E_UL_AOR_INSERT"
AOR_DELETE: Final = "E_UL_AOR_DELETE"
CONTACT_INSERT: Final = "E_UL_CONTACT_INSERT"
CONTACT_UPDATE: Final = "E_UL_CONTACT_UPDATE"
CONTACT_DELETE: Final = "E_UL_CONTACT_DELETE"
CONTACT_REFRESH: Final = "E_UL_CONTACT_REFRESH"
LATENCY_UPDATE: Final = "E_UL_LATENCY_UPDATE"


class AddressEvent(EventType):
    """The base of events about an address of record."""

    domain: str = param(summary="Table (domain) name.")
    aor: str = param(summary="Address of record.")


class AorInserted(AddressEvent, name=AOR_INSERT):
    """An address of record got its first contact."""


class AorDeleted(AddressEvent, name=AOR_DELETE):
    """An address of record has lost its last contact."""


class ContactEvent(AddressEvent):
    """The base of events about a contact."""

    uri: str = param(summary="Contact URI.")
    received: str | None = param(summary="Address the registration came from, when different; else null.")
    path: str | None = param(summary="Path header; null without one.")
    qval: int = param(summary="Priority times 1000 (0..1000), -1 when not given.")
    user_agent: str = param(summary="User-Agent header.")
    socket: str = param(summary="Local socket, empty when unknown.")
    bflags: int = param(summary="Contact flag bit mask.")
    expires: int = param(summary="Unix time of expiry; 0 = permanent.")
    callid: str = param(summary="Call-ID of the registration.")
    cseq: int = param(summary="CSeq of the registration.")
    attr: str = param(summary="Custom attributes, empty when none.")
    latency: int = param(summary="Last ping round trip in microseconds, 0 before the first.")
    shtag: str = param(summary="Sharing tag, empty when none.")


class ContactInserted(ContactEvent, name=CONTACT_INSERT):
    """A contact was added."""


class ContactUpdated(ContactEvent, name=CONTACT_UPDATE):
    """A contact was registered again."""


class ContactDeleted(ContactEvent, name=CONTACT_DELETE):
    """A contact was removed, or has expired."""


class ContactRefresh(AddressEvent, name=CONTACT_REFRESH):
    """A contact with push notification has to be woken, to register again."""

    uri: str = param(summary="Contact URI.")
    received: str | None = param(summary="Address the registration came from, when different; else null.")
    user_agent: str = param(summary="User-Agent header.")
    socket: str | None = param(summary="Local socket; null when unknown.")
    bflags: int = param(summary="Contact flag bit mask.")
    expires: int = param(summary="Unix time of expiry; 0 = permanent.")
    callid: str = param(summary="Call-ID of the registration.")
    attr: str = param(summary="Custom attributes, empty when none.")
    shtag: str = param(summary="Sharing tag, empty when none.")
    reason: str = param(summary="reg-refresh, ini-METHOD or mid-METHOD.")
    req_callid: str | None = param(summary="Call-ID of the triggering request; null for reg-refresh.")


class LatencyUpdated(ContactEvent, name=LATENCY_UPDATE):
    """A ping was answered, and its round trip passes the limits."""


EVENTS: Final = (
    AorInserted,
    AorDeleted,
    ContactInserted,
    ContactUpdated,
    ContactDeleted,
    ContactRefresh,
    LatencyUpdated,
)

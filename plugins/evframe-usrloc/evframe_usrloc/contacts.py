"""Contacts: what a registration says of one, how it is kept, and how it is shown.

A contact within is a plain tuple, a `Binding`, which can be packed; what is shown is a `Contact`.
"""

from __future__ import annotations

from marshal import dumps, loads
from typing import Final, cast

import attrs

Binding = tuple[
    str,  # domain
    str,  # aor
    str,  # uri
    str | None,  # received
    str | None,  # path
    int,  # qval
    str,  # user_agent
    str,  # socket
    int,  # bflags
    int,  # expires
    str,  # callid
    int,  # cseq
    str,  # attr
    int,  # latency
    str,  # shtag
    int,  # flags
    int,  # methods
    float,  # modified
    int,  # push
]
"""The fields of a `Contact` in their order."""
Record = tuple[Binding, ...]
"""The contacts of one address."""

DOMAIN: Final = 0
AOR: Final = 1
URI: Final = 2
QVAL: Final = 5
EXPIRES: Final = 9
CALLID: Final = 10
CSEQ: Final = 11
LATENCY: Final = 13
MODIFIED: Final = 17
PUSH: Final = 18

NO_PUSH: Final = 0
PUSH_DUE: Final = 1
PUSH_NOTIFIED: Final = 2
ALL_METHODS: Final = 2**32 - 1


def is_valid(binding: Binding, now: float) -> bool:
    """Return whether a contact has not expired at the Unix time *now*."""
    return not 0 < binding[EXPIRES] <= now


def changed(binding: Binding, index: int, value: object) -> Binding:
    """Return a contact with another value at *index*."""
    return cast("Binding", (*binding[:index], value, *binding[index + 1 :]))


def pack(contacts: Binding | Record) -> bytes:
    """Return contacts as they are kept: out of the sight of the cyclic garbage collector, to which they are work."""
    return dumps(contacts)


def unpack(packed: bytes) -> Record:
    """Return the contacts of an address that were packed."""
    return cast("Record", loads(packed))  # noqa: S302 of what was packed here


def unpack_one(packed: bytes) -> Binding:
    """Return the one contact that was packed."""
    return cast("Binding", loads(packed))  # noqa: S302 as above


class StaleRegistration(ValueError):  # noqa: N818 a word of the field
    """Raised when a registration is older than what is known of a contact; nothing has changed.

    Args:
        uri: the contact's.
        cseq: that of the registration.
        known: that of the contact.
    """

    def __init__(self, uri: str, cseq: int, known: int) -> None:
        super().__init__(f"contact {uri!r}: expected a CSeq above {known}, got {cseq}")
        self.uri = uri
        self.cseq = cseq
        self.known = known


def is_text(value: object) -> bool:
    """Return whether *value* is text that every subscriber and the store can take."""
    if type(value) is not str or "\0" in value:
        return False
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
    return True


def check_text(name: str, value: object, *, empty: bool = True) -> None:
    """Raise ValueError unless *value* is text that every subscriber and the store can take."""
    if not is_text(value) or not (value or empty):
        raise ValueError(f"{name}: expected text in valid Unicode without NUL, got {value!r}")


def check_number(name: str, value: object, most: int = 2**32 - 1) -> None:
    """Raise ValueError unless *value* is a number from 0 to *most*."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name}: expected 0 to {most}, got {value!r}")


@attrs.frozen
class Registration:
    """What a registration says of one contact."""

    uri: str
    """Its address, such as ``sip:bob@192.0.2.7:5060``."""
    expires_s: int | None = 3600
    """Its lease; 0 removes it, None never ends."""
    q: float | None = None
    """Its priority from 0 to 1; None when it has none."""
    received: str | None = None
    """The address the registration came from, when that is another one."""
    path: str | None = None
    """The Path header."""
    user_agent: str = ""
    """The User-Agent header."""
    socket: str = ""
    """The local socket; empty when it is not known."""
    bflags: int = 0
    """A bit mask of 32 flags."""
    attr: str = ""
    """Custom attributes."""
    shtag: str = ""
    """The sharing tag."""
    flags: int = 0
    """Another bit mask, which no event shows."""
    methods: int = ALL_METHODS
    """A bit mask of the methods that it takes."""
    push: bool | None = None
    """Whether it wants push notifications; None for what the URI says (RFC 8599)."""

    def check(self) -> None:
        """Raise ValueError, which names the field, unless every value can be kept."""
        check_text("uri", self.uri, empty=False)
        for name in ("user_agent", "socket", "attr", "shtag"):
            check_text(name, getattr(self, name))
        for name in ("received", "path"):
            if getattr(self, name) is not None:
                check_text(name, getattr(self, name))
        for name in ("bflags", "flags", "methods"):
            check_number(name, getattr(self, name))
        if self.expires_s is not None:
            check_number("expires_s", self.expires_s)
        if self.q is not None and not 0 <= self.q <= 1:
            raise ValueError(f"q: expected 0 to 1, got {self.q!r}")

    def binding(  # noqa: PLR0913, PLR0917 what a registration itself does not say of a contact
        self, domain: str, aor: str, expires: int, callid: str, cseq: int, latency: int, now: float
    ) -> Binding:
        """Return the contact as it is kept from *now* on."""
        push = is_push(self.uri) if self.push is None else self.push
        return (
            domain,
            aor,
            self.uri,
            self.received,
            self.path,
            -1 if self.q is None else round(self.q * 1000),
            self.user_agent,
            self.socket,
            self.bflags,
            expires,
            callid,
            cseq,
            self.attr,
            latency,
            self.shtag,
            self.flags,
            self.methods,
            now,
            PUSH_DUE if push else NO_PUSH,
        )


def is_push(uri: str) -> bool:
    """Return whether a URI has the parameters of push notification (RFC 8599)."""
    return ";pn-provider" in uri and ";pn-prid" in uri


@attrs.frozen
class Contact:
    """One contact as it was when it was asked for."""

    domain: str
    """The table it is in."""
    aor: str
    """The address of record it belongs to."""
    uri: str
    """Its own address."""
    received: str | None
    """The address the registration came from, when that is another one."""
    path: str | None
    """The Path header."""
    qval: int
    """Its priority times 1000; -1 when it has none."""
    user_agent: str
    """The User-Agent header."""
    socket: str
    """The local socket; empty when it is not known."""
    bflags: int
    """A bit mask of 32 flags."""
    expires: int
    """The Unix time of its expiry; 0 when it never ends."""
    callid: str
    """The Call-ID of the registration."""
    cseq: int
    """The CSeq of the registration."""
    attr: str
    """Custom attributes."""
    latency: int
    """The last round trip of a ping, in microseconds; 0 before the first."""
    shtag: str
    """The sharing tag."""
    flags: int
    """Another bit mask."""
    methods: int
    """A bit mask of the methods that it takes."""
    modified: float
    """The Unix time of its last registration, in seconds."""
    push: int
    """0 without push notification; 1 with it, 2 once its refresh was asked for."""

    def remaining_s(self, now: float) -> float | None:
        """Return the seconds that it has left at the Unix time *now*; None when it never ends."""
        return max(0.0, self.expires - now) if self.expires else None

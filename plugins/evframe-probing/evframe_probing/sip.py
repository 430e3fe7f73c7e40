"""The SIP messages of a probe: a request out of dialog, and what comes back (RFC 3261)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any, Final

import attrs

MAGIC: Final = "z9hG4bK"  # RFC 3261, 8.1.1.7
T2_S: Final = 4.0
_STATUS: Final = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2})(?: .*)?")
_BRANCH: Final = re.compile(rb";\s*branch\s*=\s*([^\s;,]+)", re.IGNORECASE)
_COMPACT: Final = {b"v": b"via", b"i": b"call-id"}
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")


@attrs.frozen
class Request:
    """One request and what its response repeats."""

    branch: str
    call_id: str
    data: bytes


@attrs.frozen
class Response:
    """What a response contains."""

    code: int
    branch: str
    call_id: str

    def answers(self, request: Request) -> bool:
        """Return whether this is a response to *request*."""
        return self.branch == request.branch and self.call_id == request.call_id


def make_request(  # noqa: PLR0913 the header fields
    uri: str, *, sent_by: str, transport: str, method: str, from_uri: str, max_forwards: int
) -> Request:
    """Return a request with the header fields that each must have, and no body.

    Args:
        uri: the Request-URI, which is also that of the To header field.
        sent_by: host and port of this side.
        transport: ``udp``, ``tcp`` or ``tls``.
        method: such as ``OPTIONS``.
        from_uri: who asks.
        max_forwards: how many hops it may take.
    """
    branch = MAGIC + secrets.token_hex(12)
    call_id = secrets.token_hex(12)
    lines = (
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} {sent_by};rport;branch={branch}",
        f"Max-Forwards: {max_forwards}",
        f"From: <{from_uri}>;tag={secrets.token_hex(6)}",
        f"To: <{uri}>",
        f"Call-ID: {call_id}",
        f"CSeq: 1 {method}",
        "Accept: application/sdp",
        "User-Agent: evframe",
        "Content-Length: 0",
    )
    return Request(branch, call_id, "".join(f"{line}\r\n" for line in (*lines, "")).encode())


def parse_response(data: bytes) -> Response | None:
    """Return what the response *data* says, or None when it is no response."""
    head = _FOLD.sub(b" ", re.split(rb"\r?\n\r?\n", data.lstrip(b"\r\n"), maxsplit=1)[0])
    status, *lines = head.split(b"\n")
    found = _STATUS.fullmatch(status.rstrip(b"\r"))
    if found is None:
        return None
    fields: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        fields.setdefault(_COMPACT.get(name, name), value.strip())
    # The topmost Via is the first: others follow after a comma, or in separate fields.
    branch = _BRANCH.search(fields.get(b"via", b"").partition(b",")[0])
    if branch is None:
        return None
    return Response(int(found[1]), branch[1].decode("latin-1"), fields.get(b"call-id", b"").decode("latin-1"))


def pauses_s(t1_s: float) -> Iterator[float]:
    """Yield how long to wait after each sending over UDP: timer E, which doubles up to T2 (RFC 3261, 17.1.2.2)."""
    pause_s = t1_s
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, T2_S)


def is_method(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    """Validate an option that is the method of a probe."""
    if not _TOKEN.fullmatch(value) or value in {"ACK", "CANCEL", "INVITE"}:
        raise ValueError(f"{attribute.name}: expected a method such as 'OPTIONS', got {value!r}")


def is_sip_uri(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    """Validate an option that is the URI of the From header field."""
    if not re.fullmatch(r"sips?:[^\s<>]+", value, re.IGNORECASE) or not value.isprintable():
        raise ValueError(f"{attribute.name}: expected a URI such as 'sip:name@host', got {value!r}")

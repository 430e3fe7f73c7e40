"""From the bytes of a reply to outcomes: no entities, no network, no unbounded size."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lxml import etree

BAD_REPLY: Final = "bad_reply"
FAULT: Final = "fault"
_SHORT: Final = 2048


def outcome(status: int, body: bytes) -> str | None:
    """Return None when the call succeeded, or the reason why not."""
    # Most servers say the same thing to every call.
    return _remembered(status, body) if len(body) <= _SHORT else _outcome(status, body)


def _outcome(status: int, body: bytes) -> str | None:
    if not status:
        return BAD_REPLY
    if status != 200:
        return f"http_{status}"
    root = _parse(body)
    if root is None:
        return BAD_REPLY
    if root.find("fault") is not None:
        return FAULT
    return None if root.find("params/param") is not None else BAD_REPLY


_remembered: Final = lru_cache(maxsize=256)(_outcome)


def is_refused(reason: str | None) -> bool:
    """Return whether a server made none of the calls of a multicall: it refused the request, or could not read it."""
    return reason is not None and (reason in {FAULT, "http_500"} or reason.startswith("http_4"))


def outcomes(status: int, body: bytes, count: int) -> list[str | None]:
    """Return the outcome of each of the *count* calls in a ``system.multicall``."""
    whole = outcome(status, body)
    if whole is not None:
        return [whole] * count
    root = _parse(body)
    assert root is not None
    results = root.findall("params/param/value/array/data/value")
    if len(results) != count:
        return [BAD_REPLY] * count
    return [_result(result) for result in results]


def _result(result: etree._Element) -> str | None:
    if result.find("array") is not None:
        return None
    names = [name.text for name in result.findall("struct/member/name")]
    return FAULT if "faultCode" in names else BAD_REPLY


def _parse(body: bytes) -> etree._Element | None:
    # The transport imports it before it connects; a process without a subscriber does not need the library.
    from lxml import etree  # noqa: PLC0415 as above

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    about: Any = root.getroottree().docinfo
    if root.tag != "methodResponse" or about.doctype:
        return None
    return root

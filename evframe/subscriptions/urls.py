"""URLs that users write in place of sockets, and the matching sockets: ``udp://host:port`` is ``udp:host:port``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

_URL: Final = re.compile(r"([^:]+)://(.*)", re.DOTALL)
_END_OF_AUTHORITY: Final = re.compile(r"[/?]")
_TAIL: Final = re.compile(r"[?#;]")
OWN_FORM: Final = "{scheme}:{rest}"


def is_url(text: object) -> bool:
    """Return whether *text* has two slashes behind its scheme."""
    return isinstance(text, str) and _URL.fullmatch(text) is not None


def sockets_for(url: str, forms: Iterable[str]) -> Iterator[str]:
    """Yield the sockets that *url* may mean, the most similar first.

    The first one is the URL without its slashes. The others lack the slash at its end, the user with the
    password, or all that follows the port.

    Args:
        url: the text.
        forms: of sockets, with ``{scheme}`` in lower case, ``{rest}``, ``{authority}`` and ``{path}``.
    """
    found = _URL.fullmatch(url)
    if found is None:
        return
    scheme, rest = found[1].lower(), found[2]
    # A password may have a slash, so that only the last @ shows where the host begins.
    user, at, place = rest.rpartition("@")
    for form in forms:
        for prefix in (f"{user}{at}", "") if at else ("",):
            end = _END_OF_AUTHORITY.search(place)
            authority, path = (place[: end.start()], place[end.end() :]) if end else (place, "")
            for tail in (place, place.rstrip("/"), authority):
                yield form.format(scheme=scheme, rest=prefix + tail, authority=prefix + authority, path=path)


def place_of(url: str) -> str:
    """Return *url* without the user, the password and what follows the path."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{_TAIL.split(rest.rpartition('@')[2], maxsplit=1)[0]}"

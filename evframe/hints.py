"""What was probably meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_CUTOFF: Final = 0.75
_PREFIX: Final = "evframe-"
_BY_SCHEME: Final = {
    "udp": "datagram",
    "unix": "datagram",
    "tcp": "stream",
    "flatstore": "flatstore",
    "kafka": "kafka",
    "rabbitmq": "rabbitmq",
    "route": "route",
    "virtual": "virtual",
    "xmlrpc": "xmlrpc",
    "xmlrpcs": "xmlrpc",
}
"""The plugins with each scheme; one that is not installed cannot be asked."""
PUBLISHED: Final = frozenset({
    *_BY_SCHEME.values(),
    "core-events",
    "dialog",
    "dispatcher",
    "fraud-detection",
    "kafka-consumer",
    "lease-events",
    "load-balancer",
    "mi-datagram",
    "mi-fifo",
    "mi-http",
    "opensips",
    "pike",
    "rabbitmq-consumer",
    "usrloc",
})  # fmt: skip
"""The plugins that have packages called ``evframe-`` and their name."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``, did you mean 'x'`` for the one of *known* that *name* resembles; empty without one."""
    found = nearest(name, known)
    return "" if found is None else f", did you mean {found!r}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *name* resembles, whatever the case; None without one."""
    names = {each.casefold(): each for each in known}
    found = get_close_matches(name.casefold(), names, n=1, cutoff=_CUTOFF) if isinstance(name, str) else []
    return names[found[0]] if found else None


def plugin_of(scheme: str) -> str | None:
    """Return the published plugin that has *scheme*, or None."""
    return _BY_SCHEME.get(scheme)


def how_to_install(plugin: str) -> str:
    """Return the command that installs *plugin*."""
    return f"pip install {_PREFIX}{plugin}"

"""Name servers in memory, for tests of names that move."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Self

from evframe_resolver import numeric


class FakeNames:
    """Stands in for the lookup of a resolver; names can change, be unknown, or get no answer.

    ::

        with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
            events.resolver.lookup = names
            names["peer.example"] = ["127.0.0.2"]
            names["peer.example"] = []    # no such name, as for one that was never set
            names["peer.example"] = None  # no answer, until it is changed again
    """

    def __init__(self, names: Mapping[str, Iterable[str] | None] | None = None) -> None:
        self.asked: list[str] = []
        """The names in the order in which they were looked up."""
        self._addresses = {
            host: addresses if addresses is None else tuple(addresses) for host, addresses in (names or {}).items()
        }
        self._changed = threading.Condition()
        self._is_closed = False

    def __setitem__(self, host: str, addresses: Iterable[str] | None) -> None:
        with self._changed:
            self._addresses[host] = addresses if addresses is None else tuple(addresses)
            self._changed.notify_all()

    def __call__(self, host: str) -> list[tuple[int, tuple[Any, ...]]]:
        """Return the addresses of *host*; on the thread of a lookup."""
        with self._changed:
            self.asked.append(host)
            self._changed.wait_for(lambda: self._is_closed or self._addresses.get(host, ()) is not None)
            addresses = self._addresses.get(host) or ()
        found = [(one.family, one.sockaddr) for address in addresses for one in numeric(address, 0) or ()]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

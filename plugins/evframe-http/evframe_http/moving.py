"""The address of a plugin that serves one: opened at the start, moved by a reload, closed at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from evframe_wire.bound import Target

from evframe_http.serving import Serving
from evframe_http.site import Site


class MovingSite:
    """No address, or one that is served, of which another one can take the place.

    Args:
        serving: returns what answers the requests at a new address.
        log: of the plugin.
        option: the path of the option that has the address, for errors.
        leave: called before the connections of an address end, to end the answers that never end by themselves.
    """

    def __init__(
        self, serving: Callable[[], Serving], log: logging.Logger, *, option: str, leave: Callable[[], None]
    ) -> None:
        self._serving = serving
        self._log = log
        self._option = option
        self._leave = leave
        self._site: Site | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> Target | None:
        """The host and the port, or did last; None where nothing was opened."""
        return None if self._site is None else self._site.address

    def open(self, target: Target) -> None:
        """Bind the address, and serve it.

        Raises:
            OSError: if the address cannot be used.
        """
        self._site = self._at(target, None)

    def _at(self, target: Target, before: Site | None) -> Site:
        return Site(target, self._serving(), self._log, before, option=self._option)

    def move(self, target: Target | None) -> Callable[[], None]:
        """Serve *target* from now on, None for nothing; return what undoes it before the next turn of the loop.

        Raises:
            OSError: if the address cannot be used.
        """
        old = self._site
        if target is None if old is None else target is not None and old.is_at(target):
            return lambda: None
        new = self._site = None if target is None else self._at(target, old)
        closing = None if old is None else asyncio.get_running_loop().call_soon(self._close, old)

        def undo() -> None:
            if closing is not None:
                closing.cancel()
            if new is not None:
                self._end(new)
            self._site = old

        return undo

    def _close(self, site: Site) -> None:
        self._leave()
        self._end(site)

    def _end(self, site: Site) -> None:
        ending = site.close()
        self._closing.add(ending)
        ending.add_done_callback(self._closing.discard)

    def close(self) -> Awaitable[object]:
        """Close the address; return what ends with the connections."""
        if self._site is not None:
            self._close(self._site)
        return asyncio.gather(*self._closing, return_exceptions=True)

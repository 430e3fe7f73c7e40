"""The destinations in use, their sessions, and what commands and probes make of their states."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from evframe_probing import Reply

from evframe.plugin import PluginContext
from evframe_load_balancer.destinations import Destination, load
from evframe_load_balancer.events import STATUS
from evframe_load_balancer.options import Options
from evframe_load_balancer.sessions import Session, Sessions

log = logging.getLogger("evframe.load-balancer")
GROUP: Final = "load_balancer"


class Balancer:
    """Begins sessions and changes states, on any thread.

    Args:
        options: the table ``[plugins.load-balancer]``.
        clock: monotonic, in seconds.

    Raises:
        ConfigError: if the file of destinations is not as it should be.
    """

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        self._options = options
        self._mutex = threading.RLock()
        self._context: PluginContext | None = None
        self._by_id = {each.id: each for each in load(options)}
        self._sessions = Sessions(self._of_group, self.disable, clock)

    @property
    def destinations(self) -> list[Destination]:
        """The destinations, with the load of this moment."""
        self._sessions.expire()
        return list(self._by_id.values())

    def find(self, destination_id: int) -> Destination | None:
        """Return a destination by its id, or None."""
        return self._by_id.get(destination_id)

    def _of_group(self, group: int) -> list[Destination]:
        return [each for each in self._by_id.values() if each.group == group]

    def start_session(
        self, group: int, resources: Sequence[str], flags: str = "", *, expire_s: float | None = None
    ) -> Session:
        """Begin a session on the destination of which most is free; it counts until it is released.

        Args:
            group: of the destinations.
            resources: what the session uses of its destination, one of each.
            flags: some of ``n``, ``r`` and ``s``; see `evframe_load_balancer.balancing.choose`.
            expire_s: after so many seconds it is released, whatever its holder does; never without it.

        Raises:
            NotAvailable: if no destination can take it.
            ValueError: if an argument is not as it should be.
        """
        return self._sessions.start(group, resources, flags, expire_s)

    def disable(self, destination: Destination) -> None:
        """Take a destination out of use until a probe is good, or it is enabled by command."""
        with self._mutex:
            current = self._current(destination)
            self._report(current, "use", changed=current.disable())

    def set_status(self, destination: Destination, *, enabled: bool) -> None:
        """Enable a destination, or disable it so that only this enables it again."""
        with self._mutex:
            current = self._current(destination)
            self._report(current, "command", changed=current.command(enabled=enabled))

    def resize(self, destination: Destination, resource: str, capacity: int) -> None:
        """Set the largest load of a resource, until the destinations are read again.

        Raises:
            LookupError: if the destination does not provide it.
            ValueError: if *capacity* is negative.
        """
        if capacity < 0:
            raise ValueError(f"capacity: expected 0 or more, got {capacity!r}")
        current = self._current(destination)
        if resource not in current.capacity:
            raise LookupError(f"resource: expected one of {list(current.capacity)}, got {resource!r}")
        current.capacity[resource] = capacity

    def reload(self) -> None:
        """Read the destinations again; the old ones stay in use if anything is wrong with the new ones.

        Those with the same id, group and URI keep their state and their sessions; no event is raised.

        Raises:
            ConfigError: with every problem.
        """
        with self._mutex:
            self._set_status(2, "data re-loading")
            try:
                self._by_id = self._loaded(self._options)
            finally:
                self._set_status(*self._data)

    def _loaded(self, options: Options) -> dict[int, Destination]:
        new = load(options)
        for each in new:
            old = self._by_id.get(each.id)
            if old is not None and old.name == each.name:
                each.inherit(old)
        return {each.id: each for each in new}

    @property
    def _data(self) -> tuple[int, str]:
        return (1, "data available") if self._by_id else (-2, "no data loaded")

    def _set_status(self, status: int, details: str) -> None:
        if self._context is not None:
            self._context.status.group(GROUP).set_status(status, details)

    def take_reply(self, destination: Destination, reply: Reply) -> None:
        """Record the reply to a probe."""
        with self._mutex:
            current = self._current(destination)
            changed = current.replied(reply)
            self._report(current, f"probe, {reply.code or reply.reason}", changed=changed)
            if changed:
                log.log(
                    logging.INFO if self._options.probing_verbose else logging.DEBUG,
                    "a probe has changed the status of a destination",
                    extra={"uri": current.uri, "enabled": current.enabled, "code": reply.code},
                )

    def _current(self, destination: Destination) -> Destination:
        """Return what a reload has made of a destination; itself if it has gone, which raises no event."""
        found = self._by_id.get(destination.id)
        return found if found is not None and found.name == destination.name else destination

    def _report(self, destination: Destination, cause: str, *, changed: bool) -> None:
        if not changed or self._context is None or self.find(destination.id) is not destination:
            return
        status = "enabled" if destination.enabled else "disabled"
        group = self._context.status.group(GROUP)
        group.report(f"destination {destination.id} {destination.uri} is {status}: {cause}")
        self._context.raise_event(STATUS, {"group": destination.group, "uri": destination.uri, "status": status})

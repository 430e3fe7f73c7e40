"""The plugin: streams of server-sent events, and the names by which they continue."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any, Final

import attrs
from evframe_live import Connection, Leases, LiveSocket, LiveTransport, Refused

from evframe import Socket, hookimpl
from evframe.plugin import NO_POLICY, LeaseChange, Policy, Subscription, leaves
from evframe_sse.frames import BEAT, control
from evframe_sse.options import Options as SseOptions
from evframe_sse.resuming import EventSource

log = logging.getLogger("evframe.sse")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")  # no address has this form, because it has a colon


@attrs.frozen
class Wish:
    """What a client asks for."""

    patterns: Sequence[str]
    name: str | None = None
    """By which the stream continues on another connection."""
    policy: Policy = NO_POLICY


class EventSourceTransport(LiveTransport[SseOptions, EventSource]):
    """The plugin object."""

    schemes = ("sse",)
    Options = SseOptions

    def __init__(self, options: SseOptions | None = None) -> None:
        super().__init__(SseOptions() if options is None else options, log, "evframe_sse.library")
        self.counters["resumed"] = 0
        self._ends: dict[EventSource, asyncio.TimerHandle] = {}

    @staticmethod
    def is_name(text: str) -> bool:
        """Return whether *text* is a name."""
        return _NAME.fullmatch(text) is not None

    def stream_of(self, socket: LiveSocket, leases: Leases) -> EventSource:
        """Return a new stream."""
        return EventSource(socket, leases, self.options.resume_bytes if self.is_name(socket.name) else 0)

    def subscribe(self, wish: Wish, peer: Any) -> EventSource:
        """Return the stream of a client, with its leases.

        Args:
            wish: what it asks for.
            peer: its host and port.

        Raises:
            Refused: if it may not have that.
        """
        if wish.name is not None and not self.is_name(wish.name):
            raise Refused(400, f"name: expected a letter, and letters, digits and '_.-', got {wish.name[:100]!r}")
        found = None if wish.name is None else self.streams.get(wish.name)
        if found is not None:  # or the configuration has subscribed it
            found.leases.follow(wish.patterns, wish.policy)
            self._stay(found)
            return found
        stream = self.make(wish.name or self.name_of(peer))
        try:
            stream.leases.follow(wish.patterns, wish.policy)
        except BaseException:
            self.end(stream)
            raise
        return stream

    def open(self, stream: EventSource, connection: Connection, seen: bytes | None) -> None:
        """Have *stream* written to *connection*; one that it has had is closed, and its client is notified."""
        self._stay(stream)
        if stream.is_over:  # a reload has ended its leases meanwhile
            connection.close()
            return
        if stream.connection is not None and stream.connection.is_open:
            stream.connection.write(control("replaced", {}))
        self.counters["resumed"] += stream.was_open
        stream.open(connection, seen)

    def leave(self, stream: EventSource, connection: Connection | None) -> None:
        """End *stream* now that *connection* has ended, or later where it has a name."""
        if connection is not None and connection.is_slow:
            self.counters["slow"] += 1
        if connection is not None:
            stream.detach(connection)
        if stream.is_over:
            return
        if self.is_name(stream.socket.name) and self.context.host.is_running:
            self._expect(stream)
        elif stream.connection is None:
            self.end(stream)

    def _expect(self, stream: EventSource) -> None:
        """Wait for the client of *stream*, unless another connection has taken the place of the one that has ended."""
        if stream.connection is None and stream not in self._ends:
            self._ends[stream] = asyncio.get_running_loop().call_later(self.options.resume_s, self._expire, stream)

    def _expire(self, stream: EventSource) -> None:
        """End the leases of a client that has not come back, and *stream*, unless others have subscribed the name."""
        del self._ends[stream]
        stream.leases.end()
        if not stream.leases.are_needed:
            self.end(stream)

    @hookimpl
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Wait for the client of a name as usual, once the configuration does not subscribe the name any more."""
        if change not in {"ended", "expired"} or not self.context.host.is_running:
            return
        for leaf in leaves(lease.subscriber.socket):
            stream = self.streams.get(leaf.name) if isinstance(leaf, LiveSocket) and leaf.scheme == "sse" else None
            if stream is not None and not stream.leases.are_needed:
                self._expect(stream)

    def end(self, stream: EventSource) -> None:
        """End a stream."""
        self._stay(stream)
        super().end(stream)

    def _stay(self, stream: EventSource) -> None:
        """Have *stream* end at no time."""
        timer = self._ends.pop(stream, None)
        if timer is not None:
            timer.cancel()

    def beat(self, stream: EventSource, connection: Connection) -> None:  # noqa: ARG002 all are alike
        """Send a comment; the kernel notices a network that is silent."""
        connection.beat(BEAT)

    def added(self, stream: EventSource) -> None:
        """Send the client which events it gets from now on."""
        stream.note_events()

    @hookimpl
    def describe(self, socket: Socket) -> dict[str, Any] | None:
        """Return whether the client of a stream with a name is away."""
        if not isinstance(socket, LiveSocket) or socket.scheme not in self.schemes:
            return None
        stream = self.streams.get(socket.name)
        return None if stream is None or stream.connection is not None else {"connection": "none"}

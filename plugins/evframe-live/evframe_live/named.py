"""Streams with names, by which they continue on another connection."""

from __future__ import annotations

import asyncio
import logging
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import attrs
from evframe_http import Refused

from evframe import Socket, hookimpl
from evframe.plugin import NO_POLICY, LeaseChange, Policy, Subscription, leaves
from evframe_live.connection import Connection
from evframe_live.sockets import LiveSocket
from evframe_live.transport import LiveTransport, OptionsT, StreamT

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")  # no address has this form, because it has a colon


@attrs.frozen
class Wish:
    """What a client asks for."""

    patterns: Sequence[str]
    name: str | None = None
    """By which the stream continues on another connection."""
    policy: Policy = NO_POLICY


class NamedTransport(LiveTransport[OptionsT, StreamT]):
    """The base of a plugin object whose streams may have names: they outlive their connections for a while.

    Args:
        options, log, library: see `LiveTransport`.
    """

    def __init__(self, options: OptionsT, log: logging.Logger, library: str) -> None:
        super().__init__(options, log, library)
        self._ends: dict[StreamT, asyncio.TimerHandle] = {}

    @property
    @abstractmethod
    def resume_s(self) -> float:
        """For how many seconds events wait for a stream with a name whose connection has ended."""

    @staticmethod
    def is_name(text: str) -> bool:
        """Return whether *text* is a name."""
        return _NAME.fullmatch(text) is not None

    def subscribe(self, wish: Wish, peer: Any) -> StreamT:
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
            self.stay(found)
            return found
        stream = self.make(wish.name or self.name_of(peer))
        try:
            stream.leases.follow(wish.patterns, wish.policy)
        except BaseException:
            self.end(stream)
            raise
        return stream

    def leave(self, stream: StreamT, connection: Connection | None) -> None:
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

    def _expect(self, stream: StreamT) -> None:
        """Wait for the client of *stream*, unless another connection has taken the place of the one that has ended."""
        if stream.connection is None and stream not in self._ends:
            self._ends[stream] = asyncio.get_running_loop().call_later(self.resume_s, self._expire, stream)

    def _expire(self, stream: StreamT) -> None:
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
            if not isinstance(leaf, LiveSocket) or leaf.scheme not in self.schemes:
                continue
            stream = self.streams.get(leaf.name)
            if stream is not None and not stream.leases.are_needed:
                self._expect(stream)

    def end(self, stream: StreamT) -> None:
        """End a stream."""
        self.stay(stream)
        super().end(stream)

    def stay(self, stream: StreamT) -> None:
        """Have *stream* end at no time."""
        timer = self._ends.pop(stream, None)
        if timer is not None:
            timer.cancel()

    @hookimpl
    def describe(self, socket: Socket) -> dict[str, Any] | None:
        """Return whether the client of a stream with a name is away."""
        if not isinstance(socket, LiveSocket) or socket.scheme not in self.schemes:
            return None
        stream = self.streams.get(socket.name)
        return None if stream is None or stream.connection is not None else {"connection": "none"}

"""The plugin: streams of server-sent events."""

from __future__ import annotations

import logging

from evframe_live import Connection, Leases, LiveSocket
from evframe_live.named import NamedTransport

from evframe_sse.frames import BEAT, control
from evframe_sse.options import Options as SseOptions
from evframe_sse.resuming import EventSource

log = logging.getLogger("evframe.sse")


class EventSourceTransport(NamedTransport[SseOptions, EventSource]):
    """The plugin object."""

    schemes = ("sse",)
    Options = SseOptions

    def __init__(self, options: SseOptions | None = None) -> None:
        super().__init__(SseOptions() if options is None else options, log, "evframe_sse.library")
        self.counters["resumed"] = 0

    @property
    def resume_s(self) -> float:
        """For how many seconds events wait for a stream with a name whose connection has ended."""
        return self.options.resume_s

    def stream_of(self, socket: LiveSocket, leases: Leases) -> EventSource:
        """Return a new stream."""
        return EventSource(socket, leases, self.options.resume_bytes if self.is_name(socket.name) else 0)

    def open(self, stream: EventSource, connection: Connection, seen: bytes | None) -> None:
        """Have *stream* written to *connection*; one that it has had is closed, and its client is notified."""
        self.stay(stream)
        if stream.is_over:  # a reload has ended its leases meanwhile
            connection.close()
            return
        if stream.connection is not None and stream.connection.is_open:
            stream.connection.write(control("replaced", {}))
        self.counters["resumed"] += stream.was_open
        stream.open(connection, seen)

    def beat(self, stream: EventSource, connection: Connection) -> None:  # noqa: ARG002 all are alike
        """Send a comment; the kernel notices a network that is silent."""
        connection.beat(BEAT)

    def added(self, stream: EventSource) -> None:
        """Send the client which events it gets from now on."""
        stream.note_events()

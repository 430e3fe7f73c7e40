"""Connections to receivers that never answer, such as those of syslog: RFC 6587."""

from __future__ import annotations

from typing import Final

from evframe_stream.acknowledged import AcknowledgedConnection

_MOST_COPIES: Final = 3


class SilentConnection(AcknowledgedConnection):
    """Takes every end by the receiver for one that may have lost what was acknowledged recently.

    A receiver closes its connections when it ends, and then it may throw away what it has read. Since it never answers,
    and has no reason to close a connection on which events flow, this is sent again; three times at most, because a
    receiver may close each connection after what it has read.
    """

    def ended(self) -> None:
        """End the connection: the receiver has closed it."""
        if self._has_shut:
            super().ended()
        else:
            self._settle(self.acknowledged)
            self._recent.forget_copies(_MOST_COPIES)
            self.end("closed")

    def end(self, reason: str) -> None:
        """End the connection, and send again on the next one what may not have arrived."""
        if self._kernel is not None:
            self._drop(self._kernel, reason)

"""From events to the messages of one subscriber."""

from __future__ import annotations

from collections.abc import Sequence

from evframe_wire.payload import encode_text, envelope

from evframe import Event


class MessageFormat:
    """Writes events as JSON-RPC notifications, or as requests with ids."""

    def __init__(self, event_param: str | None, *, newline: bool) -> None:
        self._event_param = None if event_param is None else encode_text(event_param)
        self._end = b"\n" if newline else b""

    def notifications(self, events: Sequence[Event], method: str | None) -> list[bytes]:
        """Return one message for each event."""
        if method is None and self._event_param is None:
            messages = [event.payload for event in events]
        else:
            messages = [self._message(event, method) for event in events]
        return self.ended(messages)

    def ended(self, messages: list[bytes]) -> list[bytes]:
        """Return each message with what ends it."""
        return [message + self._end for message in messages] if self._end else messages

    def requests(self, events: Sequence[Event], method: str | None, first_id: int) -> list[bytes]:
        """Return one message for each event, with consecutive ids from *first_id*, which come first."""
        return [
            b'{"id":%d,%b' % (number, message[1:])
            for number, message in enumerate(self.notifications(events, method), first_id)
        ]

    def _message(self, event: Event, method: str | None) -> bytes:
        return envelope(event.name if method is None else method, self._params(event))

    def _params(self, event: Event) -> bytes | None:
        body = event.body
        if body is None or self._event_param is None:
            return body
        name = encode_text(event.name)
        first = b"%b:%b" % (self._event_param, name) if body.startswith(b"{") else name
        return body[:1] + first + (body[1:] if len(body) == 2 else b"," + body[1:])

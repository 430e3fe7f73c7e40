"""The messages of one batch, and what the server says about each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import mqtt5
from evframe_mqtt_clients.reasons import ACCESS_REFUSED, QUOTA_EXCEEDED

from evframe import Batch
from evframe.plugin import UnfitError
from evframe_mqtt.address import MqttSocket
from evframe_mqtt.routes import Properties

TOO_LARGE: Final = "too_large"
NACKED: Final = "nacked"
ID: Final = "evframe-id"
"""The user property of a message whose event is kept on disk."""
_REFUSED: Final = 0x80
"""The first reason code of a message that the server did not take."""
_REASONS: Final[Mapping[int, str]] = {
    0x87: ACCESS_REFUSED,
    0x90: "invalid_topic",
    0x95: TOO_LARGE,
    0x97: QUOTA_EXCEEDED,
    0x99: "invalid_message",
}
_LATER: Final = {QUOTA_EXCEEDED}
_MENDABLE: Final = {ACCESS_REFUSED, NACKED}
"""What a server that is set up otherwise may take: events that outlive the process wait for that."""


class Publication:
    """Messages on their way.

    Args:
        target: where they go.
        batch: their events.
        carried: headers of the events, by their indexes; None when none has any.
    """

    __slots__ = ("_batch", "_carried", "_ids", "_qos", "_target", "done", "failures", "later", "open")

    def __init__(
        self, target: MqttSocket, batch: Batch, carried: Sequence[Mapping[str, str] | None] | None = None
    ) -> None:
        self._target = target
        self._batch = batch
        self._ids = batch.ids
        self._carried = carried
        self._qos = mqtt5.QoS.AT_LEAST_ONCE if target.qos else mqtt5.QoS.AT_MOST_ONCE
        self.open = set(range(len(batch.events)))
        """The indexes of the messages without an outcome."""
        self.failures: dict[int, str] = {}
        self.later: dict[int, str] = {}
        """What the server may take later."""
        self.done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """Done when each message has its outcome, or with the reason why the connection has ended."""

    def packet(self, index: int, packet_id: int | None) -> bytes | None:
        """Return the packet of a message, or None, with its failure recorded, if there can be none."""
        target, topic = self._target, self._target.topic
        properties: Properties = [*target.properties.items()]
        event = self._batch.events[index]
        try:
            if target.route is not None:
                topic, properties = target.route.of(event)
            if self._ids is not None:
                properties = [*properties, (ID, self._ids[index])]
            if self._carried is not None:
                properties = [*properties, *(self._carried[index] or {}).items()]
            return mqtt5.PublishPacket(
                topic,
                event.payload,
                qos=self._qos,
                retain=target.retain,
                packet_id=packet_id,
                message_expiry_interval=target.expiry_s,
                content_type=target.content_type,
                user_properties=list(properties) if properties else None,
            ).write()
        except UnfitError as error:
            self.fail(index, error.reason)
        except (ValueError, OverflowError):  # a packet has at most 256 MB
            self.fail(index, TOO_LARGE)
        return None

    def size(self, index: int) -> int:
        """Return the bytes of the body of a message."""
        return len(self._batch.events[index].payload)

    @property
    def is_settled(self) -> bool:
        """Whether each message has its outcome."""
        return self.done.done() and not self.done.cancelled() and self.done.result() is None

    def settle(self, index: int, code: int) -> None:
        """Take what the server says about a message."""
        if code < _REFUSED:  # with 0x10 the server has it, and its topic has no subscriber
            self._close(index)
        else:
            self.fail(index, _REASONS.get(code, NACKED))

    def fail(self, index: int, reason: str) -> None:
        """Take the failure of a message."""
        is_later = reason in _LATER or (reason in _MENDABLE and self._batch.is_kept)
        (self.later if is_later else self.failures)[index] = reason
        self._close(index)

    def _close(self, index: int) -> None:
        self.open.discard(index)
        if not self.open:
            self.end(None)

    def end(self, reason: str | None) -> None:
        """Have `done` be done."""
        if not self.done.done():
            self.done.set_result(reason)

    def report(self) -> None:
        """Report the outcomes of all messages that have theirs."""
        for index, reason in self.failures.items():
            self._batch.fail(index, reason)
        if self.open or self.later:
            others = self.open.union(self.later, self.failures)
            for index in range(len(self._batch.events)):
                if index not in others:
                    self._batch.confirm(index)

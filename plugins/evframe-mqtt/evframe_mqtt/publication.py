"""The messages of one batch, and what the server says about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import mqtt5
from evframe_connections import Publication as Messages
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


class Publication(Messages):
    """Messages on their way.

    Args:
        target: where they go.
        batch: their events.
        carried: headers of the events, by their indexes; None when none has any.
    """

    def __init__(
        self, target: MqttSocket, batch: Batch, carried: Sequence[Mapping[str, str] | None] | None = None
    ) -> None:
        super().__init__(batch, mendable=(ACCESS_REFUSED, NACKED), later=(QUOTA_EXCEEDED,))
        self.target = target
        self._ids = batch.ids
        self._carried = carried
        self._qos = mqtt5.QoS.AT_LEAST_ONCE if target.qos else mqtt5.QoS.AT_MOST_ONCE

    def packet(self, index: int, packet_id: int | None, most_bytes: int | None) -> bytes | None:
        """Return the packet of a message, or None, with its failure recorded, if there can be none."""
        target, topic = self.target, self.target.topic
        properties: Properties = [*target.properties.items()]
        event = self._batch.events[index]
        try:
            if target.route is not None:
                topic, properties = target.route.of(event)
            if self._ids is not None:
                properties = [*properties, (ID, self._ids[index])]
            if self._carried is not None:
                properties = [*properties, *(self._carried[index] or {}).items()]
            packet = mqtt5.PublishPacket(
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
            return None
        except (ValueError, OverflowError):  # a packet has at most 256 MB
            self.fail(index, TOO_LARGE)
            return None
        if most_bytes is not None and len(packet) > most_bytes:  # the server would end the connection
            self.fail(index, TOO_LARGE)
            return None
        return packet

    def size(self, index: int) -> int:
        """Return the bytes of the body of a message."""
        return len(self._batch.events[index].payload)

    def answered(self, index: int, code: int) -> None:
        """Take what the server says about a message."""
        if code < _REFUSED:  # with 0x10 the server has it, and its topic has no subscriber
            self.settle(index)
        else:
            self.fail(index, _REASONS.get(code, NACKED))

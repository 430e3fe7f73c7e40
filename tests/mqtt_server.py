"""A server of MQTT 5 that answers as a test says, for what Mosquitto never does."""

import mqtt5
from stream_servers import StreamServer


class Server(StreamServer):
    """Hands each message to *answer*, which returns the reason code of its PUBACK, the bytes of an answer, or None.

    Args:
        answer: is called with the packet of a message, and the number of its connection.
        connack: the answer to a login; None for no answer at all.
    """

    def __init__(self, answer=lambda packet, connection: 0, connack=None):
        super().__init__(self._serve_mqtt)
        self.answer = answer
        self.connack = mqtt5.ConnAckPacket() if connack is None else connack
        self.logins = []
        self.packets = []
        self.pings = 0
        self.is_silent = False

    async def _serve_mqtt(self, reader, writer):
        unread, number = b"", self.accepted
        while data := await reader.read(65536):
            unread += data
            while unread:
                try:
                    packet, size = mqtt5.read(memoryview(unread))
                except IndexError:
                    break
                unread = unread[size:]
                self._take(packet, writer, number)

    def _take(self, packet, writer, number):
        if isinstance(packet, mqtt5.ConnectPacket):
            self.logins.append(packet)
            writer.write(self.connack if isinstance(self.connack, bytes) else self.connack.write())
        elif isinstance(packet, mqtt5.PingReqPacket):
            self.pings += 1
            if not self.is_silent:
                writer.write(mqtt5.PingRespPacket().write())
        elif isinstance(packet, mqtt5.DisconnectPacket):
            writer.close()  # as a server has to, which clients await
        elif isinstance(packet, mqtt5.PublishPacket):
            self.packets.append(packet)
            found = self.answer(packet, number)
            if isinstance(found, int):
                found = b"\x40\x03" + packet.packet_id.to_bytes(2, "big") + bytes([found])
            writer.write(found or b"")

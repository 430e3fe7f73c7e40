"""A server of MQTT 5 that answers as a test says, for what Mosquitto never does."""

import asyncio

import mqtt5


class Server:
    """Hands each message to *answer*, which returns the reason code of its PUBACK, the bytes of an answer, or None.

    Args:
        answer: is called with the packet of a message, and the number of its connection.
        connack: the answer to a login; None for no answer at all.
    """

    def __init__(self, answer=lambda packet, connection: 0, connack=None):
        self.answer = answer
        self.connack = mqtt5.ConnAckPacket() if connack is None else connack
        self.logins = []
        self.packets = []
        self.pings = 0
        self.is_silent = False
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        unread, number = b"", len(self._writers)
        try:
            while data := await reader.read(65536):
                unread += data
                while unread:
                    try:
                        packet, size = mqtt5.read(memoryview(unread))
                    except IndexError:
                        break
                    unread = unread[size:]
                    self._take(packet, writer, number)
        except OSError:
            pass
        finally:
            writer.close()

    def _take(self, packet, writer, number):
        if isinstance(packet, mqtt5.ConnectPacket):
            self.logins.append(packet)
            writer.write(self.connack if isinstance(self.connack, bytes) else self.connack.write())
        elif isinstance(packet, mqtt5.PingReqPacket):
            self.pings += 1
            if not self.is_silent:
                writer.write(mqtt5.PingRespPacket().write())
        elif isinstance(packet, mqtt5.PublishPacket):
            self.packets.append(packet)
            found = self.answer(packet, number)
            if isinstance(found, int):
                found = b"\x40\x03" + packet.packet_id.to_bytes(2, "big") + bytes([found])
            writer.write(found or b"")

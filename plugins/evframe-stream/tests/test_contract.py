"""What every transport does, for TCP in both modes."""

import asyncio
import json
from contextlib import asynccontextmanager

from evframe_stream import Options, StreamTransport
from stream_servers import StreamServer

from evframe.testing import Peer, TransportContract

decode = json.JSONDecoder().raw_decode


class TestPlain(TransportContract):
    """Plain mode."""

    bad_sockets = ("tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:0", "tcp:127.0.0.1:70000/m")
    lost_sockets = ("tcp:127.0.0.1:1",)
    reliable = False

    def transport(self):
        return StreamTransport(Options(reliable_mode=self.reliable, timeout_ms=20_000))

    @asynccontextmanager
    async def peer(self):
        received = asyncio.Queue()

        async def serve(reader, writer):
            text = ""
            while data := await reader.read(65536):
                text += data.decode()
                while text:
                    try:
                        message, end = decode(text)
                    except ValueError:
                        break
                    received.put_nowait(text[:end].encode())
                    text = text[end:]
                    if "id" in message:
                        writer.write(b'{"id":%d,"result":1}' % message["id"])

        async def receive(count):
            return [await received.get() for _ in range(count)]

        async with StreamServer(serve) as server:
            yield Peer(f"tcp:127.0.0.1:{server.port}", receive)
            await server.ended()


class TestReliable(TestPlain):
    """Reliable mode."""

    reliable = True

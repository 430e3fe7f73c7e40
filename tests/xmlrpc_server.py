"""An HTTP server for the tests of XML-RPC."""

import asyncio

from evframe_xmlrpc import Options, XmlrpcTransport
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions

OK = (
    b'<?xml version="1.0"?><methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>'
)
FAULT = (
    b"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member>"
    b"</struct></value></fault></methodResponse>"
)
QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))


def http(body, status="200 OK", head=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


class Server(StreamServer):
    """Keeps the requests, and answers each with what it is told."""

    def __init__(self, answer=lambda number: http(OK), port=0, host="127.0.0.1", **options):
        super().__init__(self.serve, host, port, **options)
        self.answer = answer
        self.requests = []
        self.sent = 0  # bytes of answers

    async def serve(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            self.requests.append((head, await reader.readexactly(length)))
            answer = self.answer(len(self.requests))
            if answer is None:
                await asyncio.Event().wait()
            for part in [answer] if isinstance(answer, bytes) else answer:
                writer.write(part)
                await writer.drain()
                self.sent += len(part)
                await asyncio.sleep(0)
            if b"Connection: close" in head + (answer if isinstance(answer, bytes) else b""):
                break


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"xmlrpc": XmlrpcTransport(Options(**options))})
    events.register_event("E_TEST")
    return events

"""The stream transport of evframe: ``tcp:`` subscribers, JSON-RPC messages on a connection."""

from evframe_stream.address import TcpSocket, parse
from evframe_stream.chunk import Chunk
from evframe_stream.connections import Connections
from evframe_stream.encrypted import EncryptedConnection
from evframe_stream.options import Options
from evframe_stream.plugin import StreamTransport
from evframe_stream.silent import SilentConnection

__all__ = [
    "Chunk",
    "Connections",
    "EncryptedConnection",
    "Options",
    "SilentConnection",
    "StreamTransport",
    "TcpSocket",
    "parse",
]

"""The stream transport of evframe: ``tcp:`` subscribers, JSON-RPC messages on a connection."""

from evframe_stream.address import TcpSocket, parse
from evframe_stream.options import Options
from evframe_stream.plugin import StreamTransport

__all__ = ["Options", "StreamTransport", "TcpSocket", "parse"]

"""The stream transport of evframe: ``tcp:`` subscribers, JSON-RPC messages on a connection."""

from evframe_stream.address import TcpSocket, parse
from evframe_stream.options import Options
from evframe_stream.plugin import StreamTransport
from evframe_stream.replies import ReplyScanner

__all__ = ["Options", "ReplyScanner", "StreamTransport", "TcpSocket", "parse"]

"""The virtual transport of evframe: ``virtual:`` subscribers, several sockets as one."""

from evframe_virtual.grammar import SocketParser, VirtualSocket
from evframe_virtual.options import Options
from evframe_virtual.plugin import VirtualTransport

__all__ = ["Options", "SocketParser", "VirtualSocket", "VirtualTransport"]

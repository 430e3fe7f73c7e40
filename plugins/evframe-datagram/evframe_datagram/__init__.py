"""The datagram transport of evframe: ``udp:`` and ``unix:`` subscribers."""

from evframe_datagram.address import UdpSocket, UnixSocket, parse
from evframe_datagram.plugin import DatagramTransport

__all__ = ["DatagramTransport", "UdpSocket", "UnixSocket", "parse"]

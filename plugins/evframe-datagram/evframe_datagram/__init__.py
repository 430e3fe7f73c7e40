"""The datagram transport of evframe: ``udp:`` and ``unix:`` subscribers."""

from evframe_datagram.address import UdpSocket, UnixSocket, parse
from evframe_datagram.options import Options
from evframe_datagram.plugin import DatagramTransport
from evframe_datagram.sending import DatagramSender

__all__ = ["DatagramSender", "DatagramTransport", "Options", "UdpSocket", "UnixSocket", "parse"]

"""The management interface of evframe in UDP and UNIX datagrams."""

from evframe_mi_datagram.options import Options
from evframe_mi_datagram.plugin import DatagramManagement

__all__ = ["DatagramManagement", "Options"]

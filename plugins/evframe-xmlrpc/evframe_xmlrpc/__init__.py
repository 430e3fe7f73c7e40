"""The XML-RPC transport of evframe: ``xmlrpc:`` and ``xmlrpcs:`` subscribers, a method call for each event."""

from evframe_xmlrpc.address import XmlrpcSocket, parse
from evframe_xmlrpc.options import Options
from evframe_xmlrpc.plugin import XmlrpcTransport

__all__ = ["Options", "XmlrpcSocket", "XmlrpcTransport", "parse"]

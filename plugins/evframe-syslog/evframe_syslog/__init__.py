"""The syslog transport of evframe: ``syslog:`` subscribers, messages of RFC 5424 with the parameters as data."""

from evframe_syslog.address import SyslogSocket, parse
from evframe_syslog.options import Options
from evframe_syslog.plugin import SyslogTransport

__all__ = ["Options", "SyslogSocket", "SyslogTransport", "parse"]

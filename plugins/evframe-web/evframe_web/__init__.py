"""A web page for operators: live events, subscribers, groups, dead letters and the counters of a gateway."""

from evframe_web.options import Options
from evframe_web.plugin import Web

__all__ = ["Options", "Web"]

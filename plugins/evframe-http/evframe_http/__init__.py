"""HTTP servers and clients of plugins: who may make a request, an address that a reload moves, and signed requests."""

from evframe_http.access import Access, Asking, Refused
from evframe_http.guard import Credentials, Guard
from evframe_http.listener import Listener
from evframe_http.moving import MovingSite
from evframe_http.origin import OriginGuard
from evframe_http.serving import Serving
from evframe_http.site import Site
from evframe_http.warnings import Warnings

__all__ = [
    "Access",
    "Asking",
    "Credentials",
    "Guard",
    "Listener",
    "MovingSite",
    "OriginGuard",
    "Refused",
    "Serving",
    "Site",
    "Warnings",
]

"""What the plugin uses of the modules that import aiohttp; it imports this one when it starts."""

from evframe_mi_http.answering import Answering
from evframe_mi_http.connections import HttpServer

__all__ = ["Answering", "HttpServer"]

"""What the plugin uses of the modules that import aiohttp; it imports this one when it starts."""

from evframe_http.connections import HttpServer

from evframe_mi_http.answering import Answering

__all__ = ["Answering", "HttpServer"]

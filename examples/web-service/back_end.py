"""A back end of the shop: keeps orders in memory, and says that it is well.

Run it with the port it is to listen at::

    python back_end.py 9001
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

orders: dict[str, bytes] = {}


class Handler(BaseHTTPRequestHandler):
    """Answers ``GET /health`` and ``PUT /orders/NUMBER``."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Report that it is well."""
        self._answer(200 if self.path == "/health" else 404)

    def do_PUT(self) -> None:
        """Keep an order; the same one again changes nothing."""
        orders[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

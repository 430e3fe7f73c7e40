"""A management client: JSON-RPC 2.0 over HTTP."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import attrs

from evframe.exceptions import EvframeError

DEFAULT_URL: Final = "http://127.0.0.1:8888/mi"
_ANY: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 compared, not bound


class ManagementError(EvframeError):
    """Raised when the gateway cannot be reached, or answers with an error."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def url_of(options: Mapping[str, Any]) -> str:
    """Return the URL of a management interface with the *options* of ``[plugins.mi-http]``."""
    bind = options.get("bind", "127.0.0.1:8888")
    path = options.get("path", "/mi")
    if bind.startswith("unix:"):
        return f"http+unix://{quote(bind[5:], safe='')}{path}"
    host, _, port = bind.rpartition(":")
    return f"http://{_ANY.get(host, host)}:{port}{path}"


@attrs.frozen
class Client:
    """Calls management commands of the gateway at *url*, waiting at most *timeout_s* seconds for each answer.

    The schemes are ``http``, ``https`` and ``http+unix`` (``http+unix://%2Frun%2Fevframe.sock/mi``).
    """

    url: str = DEFAULT_URL
    timeout_s: float = 10.0

    def call(self, method: str, params: list[Any] | dict[str, Any] | None = None) -> Any:
        """Return the result of *method*.

        Raises:
            ManagementError: with the gateway's error, or why it was not reached.
        """
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": "1", "method": method}
        if params:
            message["params"] = params
        try:
            answer = json.loads(self._post(json.dumps(message).encode()))
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ManagementError(f"no answer from {self.url}: {error}") from None
        if not isinstance(answer, dict):
            raise ManagementError(f"no answer from {self.url}: expected a JSON object, got {answer!r}")
        if "error" in answer:
            problem = answer["error"]
            data = f" ({problem['data']})" if "data" in problem else ""
            raise ManagementError(f"{problem['code']}: {problem['message']}{data}")
        return answer.get("result")

    def _post(self, body: bytes) -> bytes:
        parts = urlsplit(self.url)
        connection: http.client.HTTPConnection
        if parts.scheme == "http+unix":
            connection = _UnixConnection(unquote(parts.netloc), self.timeout_s)
        elif parts.scheme == "https":
            connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=self.timeout_s)
        elif parts.scheme == "http":
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.timeout_s)
        else:
            raise ManagementError(f"expected an http, https or http+unix URL, got {self.url!r}")
        try:
            connection.request("POST", parts.path or "/", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise OSError(f"HTTP status {response.status} {response.reason}")
        return text

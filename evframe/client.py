"""A management client: JSON-RPC 2.0 over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, Final

import attrs

from evframe.exceptions import EvframeError

DEFAULT_URL: Final = "http://127.0.0.1:8888/mi"


class ManagementError(EvframeError):
    """Raised when the gateway cannot be reached, or answers with an error."""


@attrs.frozen
class Client:
    """Calls management commands of the gateway at *url*, each within *timeout_s* seconds."""

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
        request = urllib.request.Request(  # noqa: S310 the scheme is checked below
            self.url, json.dumps(message).encode(), {"Content-Type": "application/json"}
        )
        if request.type not in {"http", "https"}:
            raise ManagementError(f"expected an http or https URL, got {self.url!r}")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:  # noqa: S310 as above
                answer = json.load(response)
        except (OSError, ValueError) as error:
            raise ManagementError(f"no answer from {self.url}: {error}") from None
        if "error" in answer:
            problem = answer["error"]
            data = f" ({problem['data']})" if "data" in problem else ""
            raise ManagementError(f"{problem['code']}: {problem['message']}{data}")
        return answer.get("result")

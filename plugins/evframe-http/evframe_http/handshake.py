"""The handshake by which a server permits requests, as the HTTP webhooks of CloudEvents do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evframe import Unavailable

if TYPE_CHECKING:
    from evframe_http.requests import HttpSession


async def ask_for_permission(session: HttpSession, origin: str, headers: Mapping[str, str], timeout_s: float) -> None:
    """Ask the server of *session* whether it wants requests of this process.

    Args:
        session: the connections to the server.
        origin: the name of this process, such as ``gateway.example``.
        headers: further headers of the request.
        timeout_s: how long the request may take, in seconds.

    Raises:
        Unavailable: with ``access_refused`` if it does not, or as of `HttpSession.request`.
    """
    asked = {**headers, "WebHook-Request-Origin": origin}
    status, answer = await session.request("OPTIONS", b"", asked, timeout_s)
    if not 200 <= status < 300 or answer.get("WebHook-Allowed-Origin", "") not in {"*", origin}:
        raise Unavailable("access_refused")

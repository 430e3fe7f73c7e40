"""The events of a running gateway, received by subscribing to it."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Final, Self

from evframe.client import Client, ManagementError

log = logging.getLogger("evframe.watch")
_LEASE_S: Final = 60
_LOOK_S: Final = 1.0  # how often new events are looked for


class Watch:
    """Subscribes a UDP socket of its own to every event that matches; leaves when it is closed.

    Events that are registered later are found within a second. When the gateway is away the
    leases are taken again once it is back.

    Args:
        client: of the gateway.
        patterns: `fnmatch` patterns of event names.
        address: a local IP address at which the gateway reaches this program.

    Raises:
        ManagementError: if the gateway cannot be reached.
    """

    def __init__(self, client: Client, patterns: Sequence[str], address: str) -> None:
        self._client = client
        self._patterns = patterns
        self._leases: dict[str, float] = {}
        self._away = False
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._receiver = socket.socket(family, socket.SOCK_DGRAM)
        self._receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._receiver.bind((address, 0))
        host = f"[{address}]" if family == socket.AF_INET6 else address
        self._socket = f"udp:{host}:{self._receiver.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._subscribe()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._leases:
            with suppress(ManagementError):
                self._client.call("event_subscribe", [name, self._socket, 0])
        self._receiver.close()

    def __iter__(self) -> Iterator[str]:
        look_at = time.monotonic() + _LOOK_S
        while True:
            self._receiver.settimeout(max(0.01, look_at - time.monotonic()))
            with suppress(TimeoutError):
                yield self._receiver.recv(65536).decode("utf-8", "backslashreplace")
            if time.monotonic() >= look_at:
                self._look()
                look_at = time.monotonic() + _LOOK_S

    def _look(self) -> None:
        try:
            self._subscribe()
        except ManagementError as error:
            if not self._away:
                log.warning("the gateway is away", extra={"problem": str(error)})
            self._away = True
            self._leases.clear()
        else:
            self._away = False

    def _subscribe(self) -> None:
        now = time.monotonic()
        for event in self._client.call("events_list")["Events"]:
            name = event["name"]
            if self._leases.get(name, 0.0) > now or not any(fnmatchcase(name, pattern) for pattern in self._patterns):
                continue
            self._client.call("event_subscribe", [name, self._socket, _LEASE_S])
            self._leases[name] = now + _LEASE_S / 3

"""SIP requests over UDP: one socket for each family of addresses, however many requests are under way."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Final

import attrs
from evframe_wire.addresses import without_brackets

from evframe import split_host_port
from evframe.plugin import HostAddress
from evframe_probing.sip import T2_S, Request, Response, parse_response, pauses_s

_MOST_BYTES: Final = 65_535
_AT_ONCE: Final = 64


@attrs.frozen
class Bind:
    """Where requests are sent from."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Bind:
        """Return what ``[udp:]host[:port]`` names; port 0, any, without one.

        Raises:
            ValueError: if the text does not fit.
        """
        rest = text.removeprefix("udp:")
        if rest.endswith("]") or ":" not in rest:
            host, _ = split_host_port(f"{rest}:1")
            return cls(without_brackets(host), 0)
        host, port = split_host_port(rest)
        return cls(without_brackets(host), port)


class _Exchange:
    """One request and what came back so far."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.final: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.provisional = False

    def take(self, response: Response) -> None:
        if not response.answers(self.request):
            return
        if response.code < 200:
            self.provisional = True
        elif not self.final.done():
            self.final.set_result(response.code)


class SipUdp:
    """Sends requests, repeats them until there is a final response, and matches responses by their branch.

    Args:
        bind: where from; any address and port without it.
        t1_s: the time after which a request is repeated first (RFC 3261, 17.1.1.1).
    """

    def __init__(self, bind: Bind | None = None, t1_s: float = 0.5) -> None:
        self._bind = bind
        self._t1_s = t1_s
        self._sockets: dict[int, socket.socket] = {}
        self._waiting: dict[str, _Exchange] = {}

    def sent_by(self, address: HostAddress) -> str:
        """Return host and port of this side towards *address*, opening the socket.

        Raises:
            OSError: if nothing can be sent from here.
        """
        host, port = self._socket(address.family).getsockname()[:2]
        if host in {"0.0.0.0", "::"}:  # noqa: S104 what a socket says that is bound to no address
            with socket.socket(address.family, socket.SOCK_DGRAM) as route:
                route.connect(address.sockaddr)
                host = route.getsockname()[0]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def ask(self, request: Request, address: HostAddress) -> int:
        """Return the code of the final response, which may never come: give it a time limit.

        Raises:
            OSError: if the request cannot be sent.
        """
        sender = self._socket(address.family)
        exchange = self._waiting[request.branch] = _Exchange(request)
        try:
            for pause_s in pauses_s(self._t1_s):
                # A full buffer is like a lost datagram: the next one makes up for it.
                with suppress(BlockingIOError):
                    sender.sendto(request.data, address.sockaddr)
                await asyncio.wait({exchange.final}, timeout=T2_S if exchange.provisional else pause_s)
                if exchange.final.done():
                    break
            return exchange.final.result()
        finally:
            del self._waiting[request.branch]

    def _socket(self, family: int) -> socket.socket:
        opened = self._sockets.get(family)
        if opened is None:
            opened = socket.socket(family, socket.SOCK_DGRAM)
            try:
                opened.setblocking(False)
                opened.bind(self._local(family))
            except OSError:
                opened.close()
                raise
            asyncio.get_running_loop().add_reader(opened.fileno(), self._read, opened)
            self._sockets[family] = opened
        return opened

    def _local(self, family: int) -> tuple[str, int]:
        if self._bind is None:
            return ("0.0.0.0" if family == socket.AF_INET else "::"), 0  # noqa: S104 responses come from anywhere
        return self._bind.host, self._bind.port

    def _read(self, opened: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                response = parse_response(opened.recv(_MOST_BYTES))
            except OSError:
                return
            exchange = None if response is None else self._waiting.get(response.branch)
            if response is not None and exchange is not None:
                exchange.take(response)

    def close(self) -> None:
        """Close the sockets."""
        for opened in self._sockets.values():
            asyncio.get_running_loop().remove_reader(opened.fileno())
            opened.close()
        self._sockets.clear()

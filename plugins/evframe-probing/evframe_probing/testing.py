"""For the tests of those who use probes: a SIP peer that answers on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Self

import attrs

MUST: Final = ("via", "max-forwards", "from", "to", "call-id", "cseq")
Answer = Callable[["Received"], bytes | None]


@attrs.frozen
class Received:
    """A request as it has arrived."""

    method: str
    uri: str
    fields: dict[str, str]
    """The header fields, with names in lower case."""
    peer: tuple[str, int]
    """Host and port it came from."""

    @classmethod
    def read(cls, data: bytes, peer: tuple[str, int]) -> Received:
        """Return the request in *data*; ValueError if it lacks what RFC 3261, 8.1.1 asks for."""
        head, blank, _ = data.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        method, uri, version = first.split(" ")
        fields = {}
        for line in lines:
            name, _, value = line.partition(": ")
            fields[name.lower()] = value
        if version != "SIP/2.0" or not blank or any(name not in fields for name in MUST):
            raise ValueError(f"expected a whole SIP request, got {data!r}")
        return cls(method, uri, fields, peer)

    def response(self, code: int, reason: str = "x") -> bytes:
        """Return a response to the request (RFC 3261, 8.2.6; RFC 3581)."""
        host, port = self.peer
        via = self.fields["via"].replace(";rport", f";received={host};rport={port}", 1)
        to = self.fields["to"] + (";tag=peer" if code > 100 else "")
        lines = [f"SIP/2.0 {code} {reason}", f"Via: {via}", f"To: {to}"]
        lines += [f"{name}: {self.fields[name]}" for name in ("from", "call-id", "cseq")]
        return "".join(f"{line}\r\n" for line in [*lines, "Content-Length: 0", ""]).encode()


class SipPeer(asyncio.DatagramProtocol):
    """A SIP peer over UDP on the loopback address.

    ::

        async with SipPeer() as peer:
            peer.code = 503
            ...probe(f"sip:127.0.0.1:{peer.port}")
    """

    def __init__(self, code: int = 200, host: str = "127.0.0.1", port: int = 0) -> None:
        self.code: int | None = code
        """What it answers; None for nothing."""
        self.answer: Answer | None = None
        """Returns another answer to a request, or None for nothing."""
        self.received: list[Received] = []
        """The requests so far."""
        self._bind = (host, port)
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self._bind)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._transport is not None
        self._transport.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._transport is not None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a request."""
        request = Received.read(data, (addr[0], addr[1]))
        self.received.append(request)
        if self.answer is not None:
            reply = self.answer(request)
        else:
            reply = None if self.code is None else request.response(self.code)
        if reply is not None:
            self.send(reply, request.peer)

    def send(self, data: bytes, peer: tuple[str, int]) -> None:
        """Send something of the test's own."""
        assert self._transport is not None
        self._transport.sendto(data, peer)

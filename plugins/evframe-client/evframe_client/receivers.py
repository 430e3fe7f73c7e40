"""Where events arrive: a socket of this program, which the gateway gets as the subscriber."""

from __future__ import annotations

import errno
import ipaddress
import logging
import selectors
import socket
from contextlib import ExitStack, suppress
from typing import Any, Final, Literal, Protocol

from evframe_wire.addresses import connection_problem
from evframe_wire.drops import DropCounter
from evframe_wire.encoding import encode_value
from evframe_wire.framing import Splitter

from evframe_client.datagram import MAX_BYTES, bound
from evframe_client.protocol import decode
from evframe_client.resolving import look_up
from evframe_client.urls import HttpUrl, UdpUrl, Url

log = logging.getLogger("evframe.client")
Kind = Literal["udp", "unix", "tcp"]
_BUFFER_BYTES: Final = 4 << 20
_AT_ONCE: Final = 64
_SO_RCVBUFFORCE: Final = 33  # of Linux, which Python has no name for
_LOCAL: Final = "127.0.0.1"


class Receiver(Protocol):
    """A subscriber socket."""

    @property
    def text(self) -> str:
        """The socket as the gateway gets it."""

    def fileno(self) -> int:
        """Return the descriptor that can be read when something has arrived."""

    @property
    def lost(self) -> int:
        """How many payloads the kernel had no room for."""

    def read(self) -> list[bytes]:
        """Return payloads that have arrived, without waiting."""

    def close(self) -> None:
        """Take nothing more."""


def open_receiver(kind: Kind, address: str) -> Receiver:
    """Return a receiver at a free port of *address*; a UNIX socket needs none."""
    if kind == "unix":
        return DatagramReceiver()
    return DatagramReceiver(address) if kind == "udp" else StreamReceiver(address)


def check_address(address: str) -> str:
    """Return *address* as the system takes it.

    Raises:
        ValueError: if it is not one that a gateway can send to.
    """
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        parsed = None
    if parsed is None or parsed.is_unspecified:
        raise ValueError(f"address: expected the IP address at which the gateway reaches this program, got {address!r}")
    return str(parsed)


async def own_address(url: Url) -> str:
    """Return the address from which this program reaches the gateway at *url*."""
    if not isinstance(url, HttpUrl | UdpUrl) or (isinstance(url, HttpUrl) and url.unix_path is not None):
        return _LOCAL
    found = await look_up(url.host, url.port, socket.SOCK_DGRAM)
    problem: OSError | None = None
    # The original sends events over IPv4 alone.
    for family, _, _, _, address in sorted(found, key=lambda one: one[0] != socket.AF_INET):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(address)  # sends nothing
            except OSError as error:
                problem = error
            else:
                return str(probe.getsockname()[0])
    raise problem or OSError("expected a host with an address")


def _open(address: str, kind: socket.SocketKind) -> tuple[socket.socket, str]:
    """Return a socket at a free port of *address*, and the text of both."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.bind((address, 0))
    except BaseException:
        sock.close()
        raise
    host = f"[{address}]" if family == socket.AF_INET6 else address
    return sock, f"{host}:{sock.getsockname()[1]}"


class DatagramReceiver:
    """Takes datagrams over UDP at *address*, or through a UNIX socket when there is none."""

    def __init__(self, address: str | None = None) -> None:
        self._ends = ExitStack()
        if address is None:
            self._sock = self._ends.enter_context(bound())
            self.text = f"unix:{self._sock.getsockname()}"
        else:
            self._sock, place = _open(address, socket.SOCK_DGRAM)
            self._ends.enter_context(self._sock)
            self.text = f"udp:{place}"
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        with suppress(PermissionError):  # the system's limit holds for users
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._drops = DropCounter(self._sock)
        self._buffer = bytearray(MAX_BYTES)

    @property
    def lost(self) -> int:
        """See `Receiver`."""
        return self._drops.total

    def fileno(self) -> int:
        """See `Receiver`."""
        return self._sock.fileno()

    def read(self) -> list[bytes]:
        """See `Receiver`."""
        payloads: list[bytes] = []
        with suppress(BlockingIOError):
            while len(payloads) < _AT_ONCE:
                size, ancillary, _, _ = self._sock.recvmsg_into([self._buffer], DropCounter.SPACE)
                self._drops.take(ancillary)
                payloads.append(bytes(self._buffer[:size]))
        return payloads

    def close(self) -> None:
        """See `Receiver`."""
        self._ends.close()


class StreamReceiver:
    """Takes connections over TCP at *address*, any number of them, and confirms events that want it."""

    lost = 0

    def __init__(self, address: str) -> None:
        self._listener, place = _open(address, socket.SOCK_STREAM)
        self._listener.listen()
        self.text = f"tcp:{place}"
        self._selector = selectors.EpollSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def fileno(self) -> int:
        """See `Receiver`."""
        return self._selector.fileno()

    def read(self) -> list[bytes]:
        """See `Receiver`."""
        payloads: list[bytes] = []
        for key, _ in self._selector.select(0):
            if key.data is None:
                self._accept()
            else:
                payloads += self._receive(key.fileobj, key.data)
        return payloads

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(connection, selectors.EVENT_READ, Splitter())

    def _receive(self, connection: Any, splitter: Splitter) -> list[bytes]:
        payloads: list[bytes] = []
        try:
            data = connection.recv(65536)
            payloads = splitter.feed(data)
            _confirm(connection, payloads)
            if data and not splitter.is_too_long:
                return payloads
        except BlockingIOError:
            return payloads
        except OSError as error:
            log.info("a connection of the gateway was lost", extra={"problem": connection_problem(error)})
        self._selector.unregister(connection)
        connection.close()
        return payloads + splitter.end()

    def close(self) -> None:
        """See `Receiver`."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()


def _confirm(connection: socket.socket, payloads: list[bytes]) -> None:
    """Answer the events that have an id, which a gateway in reliable mode waits for."""
    answers = b""
    for payload in payloads:
        if b'"id"' in payload:
            with suppress(ValueError):
                message = decode(payload)
                if isinstance(message, dict) and isinstance(message.get("id"), int | str):
                    answers += encode_value({"jsonrpc": "2.0", "result": "OK", "id": message["id"]})
    if answers:
        try:
            sent = connection.send(answers)
        except BlockingIOError:
            sent = 0
        if sent < len(answers):
            raise OSError(errno.ENOBUFS, "expected a gateway that reads its answers")

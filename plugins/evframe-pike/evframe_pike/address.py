"""Addresses: the forms they are accepted in, and the text that events have of them."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = str | bytes | IPv4Address | IPv6Address

_LONGEST: Final = 64  # a scope may follow an IPv6 address
_MAPPED: Final = bytes(10) + b"\xff\xff"


def pack(address: object) -> bytes:
    """Return the 4 or 16 bytes of *address*.

    An IPv4 address that is written as an IPv6 one (``::ffff:192.0.2.1``), as sockets for both
    families do, is the IPv4 address. The scope of an IPv6 address (``%eth0``) is left out.

    Raises:
        ValueError: if it is not an address as text, as bytes, or of the module `ipaddress`.
    """
    packed = b""
    if isinstance(address, str):
        packed = _pack_text(address)
    elif isinstance(address, bytes):
        packed = address
    elif isinstance(address, IPv4Address | IPv6Address):
        packed = address.packed
    if len(packed) == 16:
        return packed[12:] if packed.startswith(_MAPPED) else packed
    if len(packed) != 4:
        raise ValueError(f"address: expected an IPv4 or IPv6 address as text or as 4 or 16 bytes, got {address!r}")
    return packed


def _pack_text(text: str) -> bytes:
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        if len(text) <= _LONGEST:
            return socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        pass
    return b""


def unpack(packed: bytes) -> str:
    """Return the text of an address, or of the first bytes of one."""
    if len(packed) == 16:
        return socket.inet_ntop(socket.AF_INET6, packed)
    if len(packed) <= 4:
        return ".".join(map(str, packed))
    return packed.hex(":", -2)

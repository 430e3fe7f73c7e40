"""The networks whose addresses are never counted."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

_MAPPED_BITS = 96


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """Return the network *text*, such as ``10.0.0.0/8``, or a single address.

    IPv4 addresses that are written as IPv6 ones are counted as the former, and so are such networks.

    Raises:
        ValueError: if it is none.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


class Trusted:
    """Says whether an address is in one of the networks: one look-up for each length of their prefixes.

    Args:
        texts: the networks.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._prefixes: dict[int, dict[int, set[int]]] = {4: {}, 16: {}}  # by bytes, then by bits to leave out
        for network in map(parse_network, texts):
            left_out = network.max_prefixlen - network.prefixlen
            prefixes = self._prefixes[network.max_prefixlen // 8].setdefault(left_out, set())
            prefixes.add(int(network.network_address) >> left_out)

    def __contains__(self, packed: bytes) -> bool:
        prefixes = self._prefixes[len(packed)]
        if not prefixes:
            return False
        number = int.from_bytes(packed, "big")
        return any(number >> left_out in known for left_out, known in prefixes.items())

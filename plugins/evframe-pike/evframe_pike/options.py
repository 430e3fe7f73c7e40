"""The options of the source: the table ``[plugins.pike]``."""

from __future__ import annotations

import logging
from typing import Any, Final

import attrs
from evframe_options import at_least, one_of

from evframe_pike.trusted import parse_network

LEVELS: Final = {
    -3: logging.CRITICAL,
    -2: logging.CRITICAL,
    -1: logging.ERROR,
    1: logging.WARNING,
    2: logging.INFO,
    3: logging.INFO,
    4: logging.DEBUG,
}
"""The original's numbers of log levels, and the levels they are here."""


def _networks(_: Any, attribute: attrs.Attribute[Any], value: list[str]) -> None:
    for text in value:
        try:
            parse_network(text)
        except ValueError as error:
            raise ValueError(
                f"{attribute.name}: expected networks such as '10.0.0.0/8', got {text!r}: {error}"
            ) from None


@attrs.frozen
class Options:
    """What a flood is, and how much is remembered."""

    sampling_time_unit_s: int = attrs.field(default=2, validator=at_least(1))
    """The length of a window."""
    reqs_density_per_unit: int = attrs.field(default=30, validator=at_least(1))
    """How many requests of a known address within one window make it blocked."""
    remove_latency_s: int = attrs.field(default=120, validator=at_least(1))
    """How long an address is remembered after its last request; at least a window and one second."""
    pike_log_level: int = attrs.field(default=1, validator=one_of(*sorted(LEVELS)))
    """The level of the lines about addresses: -3 to -1 for errors, 1 warning, 2 and 3 info, 4 debug."""
    max_nodes: int = attrs.field(default=131_072, validator=at_least(256))
    """How many addresses and beginnings of addresses are remembered; then the one not seen for longest leaves."""

    trusted: list[str] = attrs.field(factory=list, validator=_networks)
    """Networks and addresses that are never counted, such as `10.0.0.0/8`."""

    @property
    def latency_s(self) -> int:
        """How long an address is really remembered."""
        return max(self.remove_latency_s, self.sampling_time_unit_s + 1)

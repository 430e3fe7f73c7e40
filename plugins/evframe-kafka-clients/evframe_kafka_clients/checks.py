"""Validators of the options that say how a cluster is reached; importing this imports no library."""

from __future__ import annotations

import re
from typing import Any, Final

import attrs
from evframe_wire.addresses import split_host_port, without_brackets

from evframe_kafka_clients.consuming import Value, consumer_option, converted
from evframe_kafka_clients.logins import check_login

PORT: Final = 9092


def _host_and_port(text: str) -> tuple[str, int]:
    text = text.strip()
    return split_host_port(text if re.search(r":[^:\]]*$", text) else f"{text}:{PORT}")


def are_brokers(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    """Validate brokers as ``host[:port],...``."""
    for each in value.split(","):
        try:
            _host_and_port(each)
        except ValueError:
            raise ValueError(f"{attribute.name}: expected brokers as host[:port],…, got {each!r}") from None


def endpoints_of(brokers: str) -> tuple[tuple[str, int], ...]:
    """Return the hosts and ports of *brokers*; the port is 9092 where none is given."""
    return tuple((without_brackets(host), port) for host, port in map(_host_and_port, brokers.split(",")))


def are_properties(_: Any, attribute: attrs.Attribute[Any], value: dict[str, Value]) -> None:
    """Validate properties of a consumer, in the names of librdkafka."""
    for name, each in value.items():
        try:
            consumer_option(name, each)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None
    try:
        check_login(converted(value))
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None

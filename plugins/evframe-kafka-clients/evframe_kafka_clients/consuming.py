"""The properties of a consumer, in the names of librdkafka, and the options of aiokafka that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from evframe_kafka_clients import logins
from evframe_kafka_clients.tls import check_ciphers, with_tls
from evframe_kafka_clients.unmapped import reason_of_no_effect

Value = str | int | bool
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", logins.MECHANISM)
_STRATEGIES: Final = ("range", "roundrobin")
_NEVER_MS: Final = 2**31 - 1


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")  # noqa: TRY004 a bad configuration
    return value


def _number(value: Value) -> int:
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit():
        raise ValueError("expected a number")
    return int(value)


def _interval(value: Value) -> int:
    return _NEVER_MS if str(value) == "-1" else _number(value)


def _idle(value: Value) -> int | None:
    return _number(value) or None


def _truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")  # noqa: TRY004 as above
    return value


def _one_of(*allowed: str) -> Callable[[Value], str]:
    def check(value: Value) -> str:
        found = next((each for each in allowed if each.casefold() == str(value).casefold()), None)
        if found is None:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return found

    return check


def _strategies(value: Value) -> tuple[str, ...]:
    choose = _one_of(*_STRATEGIES)
    return tuple(choose(each.strip()) for each in _text(value).split(","))


def _ciphers(value: Value) -> str:
    return check_ciphers(_text(value))


KNOWN: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "client.id": ("client_id", _text),
    "group.instance.id": ("group_instance_id", _text),
    "client.rack": ("client_rack", _text),
    "sasl.username": ("sasl_plain_username", _text),
    "sasl.password": ("sasl_plain_password", _text),
    "ssl.ca.location": ("ca", _text),
    "ssl.certificate.location": ("certificate", _text),
    "ssl.key.location": ("key", _text),
    "ssl.key.password": ("key_password", _text),
    "ssl.ca.pem": ("ca_pem", _text),
    "ssl.cipher.suites": ("ciphers", _ciphers),
    "ssl.endpoint.identification.algorithm": ("identification", _one_of("https", "none")),
    "enable.ssl.certificate.verification": ("verification", _truth),
    "session.timeout.ms": ("session_timeout_ms", _number),
    "heartbeat.interval.ms": ("heartbeat_interval_ms", _number),
    "fetch.wait.max.ms": ("fetch_max_wait_ms", _number),
    "fetch.min.bytes": ("fetch_min_bytes", _number),
    "fetch.max.bytes": ("fetch_max_bytes", _number),
    "fetch.message.max.bytes": ("max_partition_fetch_bytes", _number),
    "max.partition.fetch.bytes": ("max_partition_fetch_bytes", _number),
    "partition.assignment.strategy": ("partition_assignment_strategy", _strategies),
    "socket.timeout.ms": ("request_timeout_ms", _number),
    "metadata.max.age.ms": ("metadata_max_age_ms", _number),
    "topic.metadata.refresh.interval.ms": ("metadata_max_age_ms", _interval),
    "retry.backoff.ms": ("retry_backoff_ms", _number),
    "connections.max.idle.ms": ("connections_max_idle_ms", _idle),
    "isolation.level": ("isolation_level", _one_of("read_uncommitted", "read_committed")),
    "security.protocol": ("security_protocol", _one_of(*_PROTOCOLS)),
    "sasl.mechanism": ("sasl_mechanism", _one_of(*_MECHANISMS)),
    "sasl.mechanisms": ("sasl_mechanism", _one_of(*_MECHANISMS)),
    "check.crcs": ("check_crcs", _truth),
    **{name: (option, partial(logins.check, name)) for name, option in logins.PROPERTIES.items()},
}
OPTIONS: Final = {
    "bootstrap.servers": "brokers",
    "metadata.broker.list": "brokers",
    "group.id": "group_id",
    "auto.offset.reset": "auto_offset_reset",
    "enable.auto.commit": "ack",
    "enable.auto.offset.store": "ack",
    "auto.commit.interval.ms": "commit_interval_ms",
}
"""Properties that an option of the connection takes the place of."""
_OF_A_PRODUCER: Final = (
    "bootstrap_servers",
    "client_id",
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_oauth_token_provider",
    "metadata_max_age_ms",
    "retry_backoff_ms",
    "connections_max_idle_ms",
)


def consumer_option(name: str, value: Value) -> tuple[str, Any] | None:
    """Return the option that the property *name* stands for, with its value; None without an effect.

    Raises:
        ValueError: if there is no such property, or the value does not fit.
    """
    if name in OPTIONS:
        raise ValueError(f"property {name!r}: expected the option {OPTIONS[name]} of the connection")
    known = KNOWN.get(name)
    if known is None:
        if reason_of_no_effect(name, str(value).lower() if isinstance(value, bool) else str(value)) is not None:
            return None
        raise ValueError(f"expected a property that is known, got {name!r}; known are {', '.join(KNOWN)}")
    option, convert = known
    try:
        return option, convert(value)
    except ValueError as error:
        shown = "" if re.search("password|secret|url", name) else f", got {value!r}"
        raise ValueError(f"property {name!r}: {error}{shown}") from None


def without_effect(properties: Mapping[str, Value]) -> list[str]:
    """Return the names of those of *properties* that are accepted and have no meaning here."""
    return sorted(name for name, value in properties.items() if consumer_option(name, value) is None)


def is_encrypted(properties: Mapping[str, Value]) -> bool:
    """Return whether connections with *properties* use TLS."""
    return "ssl" in str(properties.get("security.protocol", "")).lower()


def converted(properties: Mapping[str, Value]) -> dict[str, Any]:
    """Return the options that *properties* stand for.

    Raises:
        ValueError: if a property is not known, or they do not fit.
    """
    return dict(filter(None, (consumer_option(name, value) for name, value in properties.items())))


def settings(properties: Mapping[str, Value]) -> dict[str, Any]:
    """Return the options of aiokafka for *properties*, with the files of TLS made into a context.

    Raises:
        ValueError: if a property is not known, or its value does not fit.
        OSError: if a file cannot be read.
    """
    made = with_tls(logins.without_tokens(converted(properties)))
    if "partition_assignment_strategy" in made:
        # A configuration is read without the library; `library`, which imports it beside the loop, has this module.
        from evframe_kafka_clients.assignors import ASSIGNORS  # noqa: PLC0415 as above

        made["partition_assignment_strategy"] = tuple(map(ASSIGNORS.get, made["partition_assignment_strategy"]))
    return made


def for_a_producer(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options of a consumer that say how to reach the brokers."""
    return {name: value for name, value in made.items() if name in _OF_A_PRODUCER}

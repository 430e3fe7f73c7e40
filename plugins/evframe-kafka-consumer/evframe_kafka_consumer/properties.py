"""The properties of a consumer, in the names of librdkafka, and the options of aiokafka that they stand for."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

Value = str | int | bool
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TEXTS: Final = {
    "client.id": "client_id",
    "group.instance.id": "group_instance_id",
    "client.rack": "client_rack",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ca",
    "ssl.certificate.location": "certificate",
    "ssl.key.location": "key",
    "ssl.key.password": "key_password",
}
_NUMBERS: Final = {
    "session.timeout.ms": "session_timeout_ms",
    "heartbeat.interval.ms": "heartbeat_interval_ms",
    "fetch.wait.max.ms": "fetch_max_wait_ms",
    "fetch.min.bytes": "fetch_min_bytes",
    "fetch.max.bytes": "fetch_max_bytes",
    "fetch.message.max.bytes": "max_partition_fetch_bytes",
    "max.partition.fetch.bytes": "max_partition_fetch_bytes",
    "socket.timeout.ms": "request_timeout_ms",
    "metadata.max.age.ms": "metadata_max_age_ms",
    "topic.metadata.refresh.interval.ms": "metadata_max_age_ms",
    "retry.backoff.ms": "retry_backoff_ms",
    "connections.max.idle.ms": "connections_max_idle_ms",
}
_CHOICES: Final = {
    "isolation.level": ("isolation_level", ("read_uncommitted", "read_committed")),
    "security.protocol": ("security_protocol", _PROTOCOLS),
    "sasl.mechanism": ("sasl_mechanism", _MECHANISMS),
    "sasl.mechanisms": ("sasl_mechanism", _MECHANISMS),
}
KNOWN: Final = (*_TEXTS, *_NUMBERS, *_CHOICES, "check.crcs")
_FILES: Final = ("ca", "certificate", "key", "key_password")
_OF_A_PRODUCER: Final = (
    "bootstrap_servers",
    "client_id",
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "metadata_max_age_ms",
    "retry_backoff_ms",
    "connections_max_idle_ms",
)


def consumer_option(name: str, value: Value) -> tuple[str, Any]:
    """Return the option that the property *name* stands for, with its value.

    Raises:
        ValueError: if there is no such property, or the value does not fit.
    """
    if name not in KNOWN:
        raise ValueError(f"expected a property that is known, got {name!r}; known are {', '.join(KNOWN)}")
    if name in _TEXTS:
        if not isinstance(value, str):
            raise ValueError(f"property {name!r}: expected a text")
        return _TEXTS[name], value
    if name in _NUMBERS:
        if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit():
            raise ValueError(f"property {name!r}: expected a number, got {value!r}")
        return _NUMBERS[name], int(value)
    if name == "check.crcs":
        if not isinstance(value, bool):
            raise ValueError(f"property {name!r}: expected true or false, got {value!r}")
        return "check_crcs", value
    option, allowed = _CHOICES[name]
    found = next((each for each in allowed if each.casefold() == str(value).casefold()), None)
    if found is None:
        raise ValueError(f"property {name!r}: expected one of {', '.join(allowed)}, got {value!r}")
    return option, found


def settings(properties: Mapping[str, Value]) -> dict[str, Any]:
    """Return the options of aiokafka for *properties*, with the files of TLS made into a context.

    Raises:
        ValueError: if a property is not known, or its value does not fit.
        OSError: if a file cannot be read.
    """
    options = dict(consumer_option(name, value) for name, value in properties.items())
    made = {name: value for name, value in options.items() if name not in _FILES}
    if made.get("security_protocol", "PLAINTEXT").endswith("SSL"):
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "certificate" in options:
            context.load_cert_chain(options["certificate"], options.get("key"), options.get("key_password"))
        made["ssl_context"] = context
    return made


def for_a_producer(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options of a consumer that say how to reach the brokers."""
    return {name: value for name, value in made.items() if name in _OF_A_PRODUCER}

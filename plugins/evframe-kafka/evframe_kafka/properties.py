"""The properties of a socket, in the names of librdkafka, and the options of aiokafka that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from evframe_kafka_clients import logins
from evframe_kafka_clients.tls import check_ciphers
from evframe_kafka_clients.unmapped import reason_of_no_effect

_ACKS: Final = {"0": 0, "1": 1, "-1": "all", "all": "all"}
_CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_NEVER_MS: Final = 2**31 - 1
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", logins.MECHANISM)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError("expected a number")
    return int(text)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        found = next((each for each in allowed if each.casefold() == text.casefold()), None)
        if found is None:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return found

    return check


def _acks(text: str) -> Any:
    if text not in _ACKS:
        raise ValueError("expected 0, 1, -1 or all")
    return _ACKS[text]


def _truth(text: str) -> bool:
    return _one_of("true", "false")(text) == "true"


def _codec(text: str) -> str | None:
    name = _one_of(*_CODECS)(text)
    return None if name == "none" else name


def _milliseconds(text: str) -> int:
    return round(float(text)) if text.replace(".", "", 1).isdigit() else _number(text)


def _limit(text: str) -> int:
    if not _number(text):
        raise ValueError("expected a number above 0, because a record that is not acknowledged has to come back")
    return int(text)


def _interval(text: str) -> int:
    return _NEVER_MS if text == "-1" else _number(text)


def _idle(text: str) -> int | None:
    return _number(text) or None


KNOWN: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "acks": ("acks", _acks),
    "request.required.acks": ("acks", _acks),
    "message.timeout.ms": ("request_timeout_ms", _limit),
    "delivery.timeout.ms": ("request_timeout_ms", _limit),
    "linger.ms": ("linger_ms", _milliseconds),
    "queue.buffering.max.ms": ("linger_ms", _milliseconds),
    "compression.type": ("compression_type", _codec),
    "compression.codec": ("compression_type", _codec),
    "client.id": ("client_id", str),
    "enable.idempotence": ("enable_idempotence", _truth),
    "message.max.bytes": ("max_request_size", _number),
    "batch.size": ("max_batch_size", _number),
    "metadata.max.age.ms": ("metadata_max_age_ms", _number),
    "topic.metadata.refresh.interval.ms": ("metadata_max_age_ms", _interval),
    "retry.backoff.ms": ("retry_backoff_ms", _number),
    "connections.max.idle.ms": ("connections_max_idle_ms", _idle),
    "security.protocol": ("security_protocol", _one_of(*_PROTOCOLS)),
    "sasl.mechanism": ("sasl_mechanism", _one_of(*_MECHANISMS)),
    "sasl.mechanisms": ("sasl_mechanism", _one_of(*_MECHANISMS)),
    "sasl.username": ("sasl_plain_username", str),
    "sasl.password": ("sasl_plain_password", str),
    "ssl.ca.location": ("ca", str),
    "ssl.certificate.location": ("certificate", str),
    "ssl.key.location": ("key", str),
    "ssl.key.password": ("key_password", str),
    "ssl.ca.pem": ("ca_pem", str),
    "ssl.cipher.suites": ("ciphers", check_ciphers),
    "ssl.endpoint.identification.algorithm": ("identification", _one_of("https", "none")),
    "enable.ssl.certificate.verification": ("verification", _truth),
    **{name: (option, partial(logins.check, name)) for name, option in logins.PROPERTIES.items()},
}


def producer_option(name: str, value: str) -> tuple[str, Any] | None:
    """Return the option that the property *name*, without its ``g.`` or ``t.``, stands for; None without an effect.

    Raises:
        ValueError: if there is no such property, or the value does not fit.
    """
    known = KNOWN.get(name)
    if known is None:
        if name in ("bootstrap.servers", "metadata.broker.list"):
            raise ValueError(f"property {name!r}: expected the brokers before the slash of the socket")
        if reason_of_no_effect(name, value) is not None:
            return None
        raise ValueError(f"expected a property that is known, got {name!r}; known are {', '.join(KNOWN)}")
    option, convert = known
    try:
        return option, convert(value)
    except ValueError as error:
        shown = "" if re.search("password|secret|url", name) else f", got {value!r}"
        raise ValueError(f"property {name!r}: {error}{shown}") from None


def check(settings: Mapping[str, Any]) -> None:
    """Look whether a producer can be made with *settings*.

    Raises:
        ValueError: if they do not fit each other.
    """
    if settings["enable_idempotence"] and settings["acks"] != "all":
        raise ValueError(f"property 'acks': expected all with enable.idempotence, got {settings['acks']!r}")
    logins.check_login(settings)
    if settings.get("security_protocol", "").startswith("SASL") and settings.get("sasl_mechanism") != logins.MECHANISM:
        for option in ("sasl_mechanism", "sasl_plain_username", "sasl_plain_password"):
            if option not in settings:
                name = option.replace("plain_", "").replace("_", ".")
                raise ValueError(
                    f"expected the property {name!r} with security.protocol {settings['security_protocol']}"
                )

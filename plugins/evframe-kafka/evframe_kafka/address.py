"""The sockets of the transport: brokers, topic and properties."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Final
from urllib.parse import quote, unquote

import attrs
from evframe_kafka_clients.logins import reserved
from evframe_wire.addresses import without_brackets

from evframe import split_host_port
from evframe.plugin import template_text
from evframe_kafka.properties import producer_option
from evframe_kafka.routes import Route, route_of

FORM: Final = "expected brokers/topic[?property=value&…]"
PORT: Final = 9092
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_WITH_PORT: Final = re.compile(r":[^:\]]*$")


@attrs.frozen(slots=True)
class KafkaSocket:
    """``kafka:host:port,…/topic?key=parameter``; properties are in no text, they may be secret."""

    names_hosts: ClassVar[bool] = True
    brokers: str
    topic: str
    key: str | None = None
    partition: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    without_effect: tuple[str, ...] = attrs.field(default=(), eq=False)
    """Properties of librdkafka that are accepted and have no meaning here."""
    route: Route | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the event that topic, key and headers have in braces."""
        return () if self.route is None else self.route.parameters

    @property
    def names_topics(self) -> bool:
        """Whether each event names its topic."""
        return self.route is not None and self.route.by_topic is not None

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """Brokers and topic as they were given, with what says where a record goes."""
        shown = [
            f"key={_quote(self.key)}" if self.key is not None else "",
            f"partition={self.partition}" if self.partition is not None else "",
            *(f"header.{quote(name)}={_quote(value)}" for name, value in sorted(self.headers.items())),
        ]
        text = "&".join(part for part in shown if part)
        return f"kafka:{self.brokers}/{self.topic}{'?' if text else ''}{text}"

    @property
    def reserved(self) -> str | None:
        """The property that only the configuration may have: it reads or runs something of this machine."""
        return reserved(self.options)

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Where the cluster is looked for."""
        return tuple((without_brackets(host), port) for host, port in map(_host_and_port, self.brokers.split(",")))

    @property
    def cluster(self) -> tuple[Any, ...]:
        """What subscribers share a producer by."""
        return (self.brokers, *sorted(self.options.items()))


def parse(rest: str) -> KafkaSocket:
    """Return the socket of *rest*.

    Raises:
        ValueError: if the text does not fit, or a property is not known.
    """
    if _SURROGATE.search(rest):
        raise ValueError("expected UTF-8")
    address, mark, tail = rest.partition("?")
    brokers, slash, topic = address.partition("/")
    if not slash or not brokers or not topic or "/" in topic:
        raise ValueError(f"{FORM}, got {address!r}")
    for each in brokers.split(","):
        _host_and_port(each)
    if mark and not tail:
        raise ValueError(f"{FORM}, got no property after the question mark")
    fields: dict[str, Any] = {"headers": {}, "options": {}, "without_effect": ()}
    for part in tail.split("&") if tail else ():
        _take(part, fields)
    return KafkaSocket(brokers, topic, route=route_of(topic, fields.get("key"), fields["headers"]), **fields)


def _quote(text: str) -> str:
    """Return *text* percent-encoded, but for the braces of one with parameters."""
    return quote(text, "/{}" if "{" in text else "/")


def _host_and_port(text: str) -> tuple[str, int]:
    """Return a broker's host and port, which is 9092 where none is given."""
    text = text.strip()
    try:
        return split_host_port(text if _WITH_PORT.search(text) else f"{text}:{PORT}")
    except ValueError as error:
        raise ValueError(f"expected brokers as host[:port], got {text!r}: {error}") from None


def _take(part: str, fields: dict[str, Any]) -> None:
    """Put one property where it belongs."""
    name, equals, raw = part.partition("=")
    if not equals or "=" in raw or not name:
        raise ValueError(f"expected name=value, with = and & in a value as %3D and %26, got {name!r}")
    is_template = name == "key" or name.startswith("header.")
    value = unquote(template_text(raw) if is_template else raw)
    if name == "key" and value:
        fields["key"] = value
    elif name == "partition" and value.isascii() and value.isdigit():
        fields["partition"] = int(value)
    elif name.startswith("header.") and len(name) > len("header."):
        fields["headers"][unquote(name[len("header.") :])] = value
    elif name[:2] in {"g.", "t."}:
        found = producer_option(name[2:], value)
        if found is None:
            fields["without_effect"] += (name[2:],)
        else:
            fields["options"].update((found,))
    else:
        raise ValueError(f"expected key=, partition=, header.NAME=, g.NAME= or t.NAME=, got {part!r}")

"""The sockets of the transport: URLs with a user, a topic, and the properties of its messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import attrs
from evframe_wire.addresses import without_brackets
from evframe_wire.urls import decoded, encoded, host_and_port

from evframe.plugin import template_text
from evframe_mqtt.routes import MOST_BYTES, UNFIT_CHARACTERS, Route, route_of

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
FORM: Final = "expected //[user@]host[:port]/topic[?parameter&…]"
_PARAMETERS: Final = "qos=0, qos=1, retain, expiry_s=, content_type=, property.NAME="
_URL: Final = re.compile(r"//(?:([^/@]*)@)?([^/@]*)/(.*)", re.DOTALL)
_PROPERTY: Final = re.compile(r"property\.([^=]+)")
_WILDCARDS: Final = re.compile(r"[+#]")
_SAFE: Final = "/$,:;=@!*'()~"
_MOST_EXPIRY_S: Final = 2**32 - 1


@attrs.frozen(slots=True)
class MqttSocket:
    """``mqtt://user@host:port/topic?qos=0&retain``; ``mqtts:`` with TLS. The password is in no text."""

    scheme: str
    host: str
    port: int
    user: str | None
    topic: str
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None
    content_type: str | None = None
    properties: Mapping[str, str] = attrs.field(factory=dict)
    route: Route | None = attrs.field(default=None, eq=False, repr=False)
    reserved: str | None = attrs.field(default=None, eq=False)
    """What makes the socket one of the configuration alone; None for nothing."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the event that the topic and the properties have in braces."""
        return () if self.route is None else self.route.parameters

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The URL with its port."""
        user = "" if self.user is None else f"{quote(self.user, safe='')}@"
        shown = [
            "qos=0" if self.qos == 0 else "",
            "retain" if self.retain else "",
            f"expiry_s={self.expiry_s}" if self.expiry_s is not None else "",
            f"content_type={_encode(self.content_type)}" if self.content_type else "",
            *(f"property.{quote(name, safe='')}={_encode(value)}" for name, value in sorted(self.properties.items())),
        ]
        text = "&".join(filter(None, shown))
        return f"{self.server[0]}://{user}{self.host}:{self.port}/{_encode(self.topic)}{'?' if text else ''}{text}"

    @property
    def server(self) -> tuple[str, str, int]:
        """The scheme, the host and the port."""
        return self.scheme, self.host, self.port

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The host, without the brackets of an IPv6 address, and the port."""
        return ((without_brackets(self.host), self.port),)


def parse(scheme: str, rest: str) -> MqttSocket:
    """Return the socket of *rest*.

    Args:
        scheme: ``mqtt`` or ``mqtts``.
        rest: what follows the colon.

    Raises:
        ValueError: if the text does not fit; a password is not in the error.
    """
    found = _URL.fullmatch(rest)
    if found is None:
        raise ValueError(f"{FORM}, got another text")
    user, authority, tail = found.groups()
    if user is not None and ":" in user:
        raise ValueError(f"{FORM} without a password, whose place is a login of the options")
    _, host, port = server_of(scheme, authority)
    path, mark, query = tail.partition("?")
    topic = _decode(template_text(path))
    if not topic or _WILDCARDS.search(topic) or len(topic.encode()) > MOST_BYTES:
        raise ValueError(f"{FORM} with a topic of 1 to {MOST_BYTES} bytes without + and #, got {topic[:80]!r}")
    fields = _parse_query(query) if mark else {}
    route = route_of(topic, fields.get("properties", {}))
    return MqttSocket(scheme, host, port, None if user is None else _decode(user), topic, route=route, **fields)


def server_of(scheme: str, authority: str) -> tuple[str, str, int]:
    """Return the scheme, the host in lower case and the port of a server.

    Raises:
        ValueError: if the text does not fit.
    """
    return scheme, *host_and_port(authority, PORTS[scheme])


def shown(scheme: str, rest: str) -> str:
    """Return the text of a socket that was refused, without a password."""
    slashes, _, user_and_host = rest.partition("//")
    authority, slash, tail = user_and_host.partition("/")
    user, at, host = authority.rpartition("@")
    return f"{scheme}:{slashes}//{user.partition(':')[0]}{at}{host}{slash}{tail}"


def _parse_query(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in text.split("&"):
        name, equals, raw = part.partition("=")
        named = _PROPERTY.fullmatch(name)
        value = _decode(raw if named is None else template_text(raw))
        if name == "qos" and value in {"0", "1"}:
            fields["qos"] = int(value)
        elif name == "retain" and not equals:
            fields["retain"] = True
        elif name == "expiry_s" and re.fullmatch("[0-9]{1,10}", value) and int(value) <= _MOST_EXPIRY_S:
            fields["expiry_s"] = int(value)
        elif name == "content_type" and value:
            fields["content_type"] = value
        elif named is not None and equals:
            fields.setdefault("properties", {})[_decode(named[1])] = value
        else:
            raise ValueError(f"expected parameters of {_PARAMETERS}, got {part!r}")
    return fields


def _decode(text: str) -> str:
    """Return *text* with ``%HH`` decoded; what MQTT does not have in a text is refused."""
    found = decoded(text)
    if UNFIT_CHARACTERS.search(found):
        raise ValueError(f"expected a text without control characters, got {text!r}")
    return found


def _encode(text: str) -> str:
    """Return *text* percent-encoded, but for the braces of parameters."""
    return encoded(text, _SAFE + ("{}" if "{" in text else ""))
